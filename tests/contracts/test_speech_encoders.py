"""What every speech encoder promises, ours and those of plugins."""

import pytest

pytest.importorskip("av")

import numpy as np
from recordings import encoded, speech, tone

from shopkeeper import registry
from shopkeeper.errors import BadRequest, Missing


@pytest.fixture(scope="module", params=registry.names("encoders.speech"))
def listener(request):
    made = registry.build("encoders.speech", request.param)
    try:
        made.transcribe(encoded(tone(0.5), "wav"))
    except Missing as error:
        pytest.skip(str(error))
    except BadRequest:
        pass
    return made


def test_words_come_back_the_same_every_time(listener):
    audio = speech("running shoes for men")
    heard = listener.transcribe(audio)
    assert heard == listener.transcribe(audio)
    assert heard.text.strip() == heard.text != ""
    assert len(heard.language) == 2
    assert heard.seconds > 0.5


@pytest.mark.parametrize("audio", [b"", b"hello", encoded(np.zeros(48_000), "ogg")])
def test_what_holds_no_words_names_the_audio(listener, audio):
    with pytest.raises(BadRequest) as error:
        listener.transcribe(audio)
    assert error.value.field == "audio"
