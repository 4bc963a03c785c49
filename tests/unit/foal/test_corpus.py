from itertools import islice

from foal.corpus import END, START, STOP, samples


class TestSamples:
    def test_same_seed_same_corpus(self) -> None:
        assert list(islice(samples(5), 200)) == list(islice(samples(5), 200))
        assert list(islice(samples(5), 20)) != list(islice(samples(6), 20))

    def test_every_conversation_ends_with_an_answer_that_is_learnt(self) -> None:
        for sample in islice(samples(1), 500):
            if sample.turns:
                assert sample.turns[-1].role == "assistant"
                assert sample.turns[-1].weight > 0
                assert all(turn.weight == 0 for turn in sample.turns if turn.role != "assistant")

    def test_no_template_is_left_unfilled(self) -> None:
        for sample in islice(samples(2), 500):
            if "\ufffd" not in sample.render():
                for field in ("{x}", "{k}", "{a}", "{b}", "{unit}", "{n}", "{c}", "<ask>", "<lead>"):
                    assert field not in sample.render()

    def test_rendering(self) -> None:
        for sample in islice(samples(3), 100):
            text = sample.render()
            assert text.endswith(f"{END}\n" if sample.turns else STOP)
            assert text.count(START) == text.count(END) == len(sample.turns)
