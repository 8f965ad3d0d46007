"""A text model of a few thousand weights that knows all its words and none of their meanings."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from shopkeeper.training.text_model import TextModel

NUM = 24
PAIRS = [(f"q{n}", f"a{n}") for n in range(NUM)]


def tiny_model(folder, spread):
    """Write it into a folder; `spread` is the size of its random weights."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(word for pair in PAIRS for word in pair)]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )  # fmt: skip
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=16, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, initializer_range=spread,
    )  # fmt: skip
    BertModel(shape).save_pretrained(folder)
    return TextModel.of(folder)
