from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamserver.capture.ladder import LEGACY, Encoding, Rung, build_ladder
from streamserver.config.media_settings import PipelineSettings, VideoSettings


def encodings(video: VideoSettings, width: int = 1280, height: int = 720) -> dict[str, Encoding]:
    rungs = build_ladder(video).rungs
    return {name: rung.at(width, height) for name, rung in rungs.items() if name != LEGACY}


def test_without_a_wish_there_are_three() -> None:
    assert encodings(VideoSettings()) == {
        "main": Encoding(1280, 720, 30, 2500),
        "medium": Encoding(1280, 720, 15, 1000),
        "low": Encoding(1280, 720, 15, 400),
    }
    assert build_ladder(VideoSettings()).order == ("main", "medium", "low")


@pytest.mark.parametrize(("bitrate", "names"), [(1000, ["main", "low"]), (400, ["main"])])
def test_a_rung_that_would_not_be_lower_is_left_out(bitrate: int, names: list[str]) -> None:
    assert list(encodings(VideoSettings(bitrate=bitrate))) == names


def test_names_pick_and_order_what_there_is() -> None:
    ladder = build_ladder(VideoSettings(ids=("low", "nothing", "main", "low")))
    assert ladder.order == ("low", "main")
    assert list(ladder.rungs) == ["low", "main", "medium", LEGACY], "the others are had by name"


@pytest.mark.parametrize(
    ("pipeline", "encoding"),
    [
        (PipelineSettings(), Encoding(1920, 1080, 60, 4000)),
        (PipelineSettings(width="width / 2", bitrate=700), Encoding(960, 540, 60, 700)),
        (PipelineSettings(height=540), Encoding(960, 540, 60, 4000)),
        (PipelineSettings(width=641, height="round(height/3)"), Encoding(640, 360, 60, 4000)),
        (PipelineSettings(width="width*2", height=9999, fps=500), Encoding(1920, 1080, 120, 4000)),
        (PipelineSettings(width=1, height=-5, fps=0.1, bitrate=1), Encoding(16, 16, 1, 50)),
        (PipelineSettings(fps="fps/4", bitrate="width*height*fps/60000"), Encoding(1920, 1080, 15, 2074)),
        (
            PipelineSettings(gst_encoder="vp8enc", gst_params={"target-bitrate": "round(3072 * 650)"}),
            Encoding(1920, 1080, 60, 1997),
        ),
    ],
)
def test_what_a_pipeline_becomes(pipeline: PipelineSettings, encoding: Encoding) -> None:
    video = VideoSettings(fps=60, bitrate=4000, pipelines={"one": pipeline})
    assert encodings(video, 1920, 1080) == {"one": encoding}


def test_old_clients_get_the_best_with_the_pointer_in_it() -> None:
    ladder = build_ladder(VideoSettings(ids=("low", "main")))
    assert ladder.rungs[LEGACY].show_pointer
    assert ladder.rungs[LEGACY].at(1280, 720) == ladder.rungs["low"].at(1280, 720)
    assert LEGACY not in ladder.order
    assert not any(rung.show_pointer for name, rung in ladder.rungs.items() if name != LEGACY)
    own = build_ladder(VideoSettings(pipelines={"legacy": PipelineSettings(fps=5)}))
    assert own.order == (LEGACY,)
    assert not own.rungs[LEGACY].show_pointer, "who names it says what it is"


sizes = st.integers(16, 8000)


@given(
    sizes,
    sizes,
    st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from(["width/3", "height", "fps*7"])),
    st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from(["width/3", "height", "fps*7"])),
)
def test_any_wish_is_something_the_encoder_takes(
    width: int, height: int, wide: str | float | None, high: str | float | None
) -> None:
    encoding = Rung("x", 30, 2500, PipelineSettings(width=wide, height=high)).at(width, height)
    assert 16 <= encoding.width <= width
    assert 16 <= encoding.height <= height
    assert encoding.width % 2 == encoding.height % 2 == 0
