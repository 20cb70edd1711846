"""A few dozen pictures, rendered once a run, with the scenes they were made of."""

from dataclasses import dataclass
from functools import cache

from handdata.synth.frame import Camera, View
from handdata.synth.picture import build_picture
from handdata.synth.render import Surface, build_surface, render_view
from handdata.synth.scene import Scene

NUM_PICTURES = 48


@dataclass(frozen=True)
class Made:
    scene: Scene
    camera: Camera
    surface: Surface
    view: View

    def labels(self):
        return self.scene.hands[0].labels


@cache
def make(index: int, style: str = "clean", size: int = 160, side: int | None = None) -> Made:
    scene, camera = build_picture(5, index, style, size, side=side, small=False, backgrounds=(), convention="annotated")
    surface = build_surface(scene, (camera,))
    return Made(scene, camera, surface, render_view(scene, surface, camera))


def make_all() -> list[Made]:
    """Both styles, both levels of detail, with and without objects."""
    return [make(i, "gritty" if i % 4 == 3 else "clean", 200 if i < 6 else 160) for i in range(NUM_PICTURES)]
