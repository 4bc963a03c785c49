"""Workers: who takes jobs up, keeps hold of them and ends them."""
