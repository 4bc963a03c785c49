"""Guided decoding: regular expressions, choices and grammars, written as the GBNF that llama.cpp takes."""
