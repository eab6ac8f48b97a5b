"""What a page really gives the loudspeaker, sample by sample."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from playwright.async_api import Page

WORKLET = Path(__file__).with_name("output_probe.worklet.js")
WORKLET_PATH = "/output_probe.worklet.js"
_SCRIPT = Path(__file__).with_name("output_probe.js")
_BLOB = "URL.createObjectURL(new Blob([{source}], {{type: 'text/javascript'}}))"
_READ = """() => ({
  rateHz: window.outputProbe.rateHz,
  clearFrames: window.outputProbe.clearFrames,
  frames: window.outputProbe.chunks.map(({frame}) => frame),
  samples: window.outputProbe.chunks.flatMap(({samples}) => samples.map((x) => Math.round(x * 32768))),
})"""


@dataclass(frozen=True, slots=True)
class Output:
    """A recording from the first render quantum on; what was not rendered is silence."""

    rate_hz: int
    samples: np.ndarray
    """int32, as s16le was sent; index 0 is sample frame 0 of the page's audio clock."""
    clear_frames: list[int]
    """Where the page's audio clock stood when each `clear` arrived."""

    @property
    def sound(self) -> np.ndarray:
        """From the first to the last sample that is not silent."""
        loud = np.flatnonzero(self.samples)
        return self.samples[loud[0] : loud[-1] + 1] if loud.size else self.samples[:0]

    @property
    def last_frame(self) -> int:
        """The last sample frame that is not silent."""
        return int(np.flatnonzero(self.samples)[-1])

    def level(self, from_ms: int, to_ms: int) -> float:
        """RMS between two times of the page's audio clock, 0 to 1."""
        part = self.samples[from_ms * self.rate_hz // 1000 : to_ms * self.rate_hz // 1000]
        return float(np.sqrt(np.mean((part / 32768.0) ** 2))) if part.size else 0.0


async def attach(page: Page, *, served: bool = True) -> None:
    """Before the page is opened.

    Args:
        served: the server has the worklet at `WORKLET_PATH`. Else it is brought along, which the
            page's security policy forbids: the context then has to be made with `bypass_csp`.
    """
    brought = _BLOB.format(source=json.dumps(WORKLET.read_text()))
    address = json.dumps(WORKLET_PATH) if served else brought
    await page.add_init_script(f"window.outputProbeAddress = () => {address};")
    await page.add_init_script(path=_SCRIPT)


async def output(page: Page) -> Output:
    """Everything so far. Ask while the call goes on: later the page has let go of its sound."""
    read = await page.evaluate(_READ)
    frames = read["frames"]
    recorded = np.array(read["samples"], dtype=np.int32).reshape(len(frames), -1)
    quantum = recorded.shape[1] if len(frames) else 128
    samples = np.zeros((frames[-1] + quantum) if frames else 0, dtype=np.int32)
    for frame, chunk in zip(frames, recorded, strict=True):
        samples[frame : frame + quantum] = chunk
    return Output(read["rateHz"], samples, read["clearFrames"])
