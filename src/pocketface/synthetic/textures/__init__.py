"""Generic images of known classes, drawn from a seed: textures and figures, nobody's face.

`draw_texture(seed, i)` is the class number `i`, `picture(texture, rng, size)` an image of it.
A search on these is the control of a search on faces.
"""

from pocketface.synthetic.textures.picture import picture
from pocketface.synthetic.textures.texture import Texture, draw_texture

__all__ = ["Texture", "draw_texture", "picture"]
