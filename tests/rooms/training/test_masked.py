"""Guessing hidden words, on texts whose words tell each other."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from shopkeeper.errors import BadData
from shopkeeper.training.masked import Adapting, _Guesser, adapt
from shopkeeper.training.text_model import TextModel

NUM = 12
TEXTS = [f"w{n} w{n} w{n} x{m}" for n in range(NUM) for m in range(16)]
WORDS = sorted({word for text in TEXTS for word in text.split()})
QUICK = Adapting(batch=8, tokens_max=8, epochs=8, minutes=2, lr=3e-3, share=0.3)


def _model(folder, *special):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *special, *WORDS]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=16,
    )  # fmt: skip
    BertModel(shape).save_pretrained(folder)
    return TextModel.of(folder)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_hidden_words_are_guessed_better_and_the_folder_can_be_read_again(tmp_path):
    source = _model(tmp_path / "tiny", "[MASK]")
    head, everything = adapt(source, tmp_path / "adapted", TEXTS, QUICK)
    assert everything.curve[-1] > everything.curve[0] > head.curve[0]
    # A guess at random costs the log of 28, 3.3; a word that stands thrice in a text tells itself.
    assert max(everything.curve) > -2.3
    again = _Guesser(TextModel.of(tmp_path / "adapted"), QUICK, TEXTS)
    first = _Guesser(source, QUICK, TEXTS)
    changed = [
        name for name, value in again.inner.state_dict().items()
        if not torch.equal(value, first.inner.state_dict()[name])
    ]  # fmt: skip
    assert any(name.startswith("encoder.") for name in changed)
    assert (tmp_path / "adapted" / "tokenizer.json").is_file()


def test_words_are_hidden_by_the_rule_and_never_the_ends_of_a_text(tmp_path):
    network = _Guesser(_model(tmp_path / "tiny", "[MASK]"), QUICK, TEXTS)
    plain = torch.cat([network.tokens([text])[0] for text in TEXTS])
    for epoch in range(3):
        batches = network.batches(TEXTS, epoch)
        hidden = torch.cat([batch.hidden_BT for batch in batches])
        ids = torch.cat([batch.ids_BT for batch in batches])
        words = torch.cat([network.known_V[batch.words_M] for batch in batches])
        assert not hidden[:, 0].any()
        assert not hidden[:, -1].any()
        assert 0.2 < hidden[:, 1:-1].float().mean() < 0.4
        masked = (ids[hidden] == network.tokens.mask).float().mean()
        assert 0.6 < masked < 0.95
        # What is not hidden stands as it was; what is hidden is asked for.
        restored = ids.clone()
        restored[hidden] = words
        assert sorted(map(tuple, restored.tolist())) == sorted(map(tuple, plain.tolist()))


def test_a_model_that_cannot_hide_words_and_too_few_texts_are_refused(tmp_path):
    with pytest.raises(BadData, match=r"no token that hides words"):
        adapt(_model(tmp_path / "bare"), tmp_path / "adapted", TEXTS, QUICK)
    with pytest.raises(BadData, match=r"3 texts to adapt to, and 16"):
        adapt(_model(tmp_path / "tiny", "[MASK]"), tmp_path / "adapted", TEXTS[:3], QUICK)
    with pytest.raises(ValueError, match="share"):
        Adapting(share=1.0)
