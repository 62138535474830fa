"""Made-up portraits."""

import io
import random
from uuid import UUID

from PIL import Image, ImageDraw


def draw_portrait(identity: UUID) -> bytes:
    """A drawing of a figure on a white background as JPEG, 600 by 840 pixels; the colour of the coat is
    chosen by `identity`, so that the same person always has the same portrait."""
    chance = random.Random(identity.int)  # noqa: S311 - for colours, not for secrets
    picture = Image.new("RGB", (600, 840), "#f7f9fc")
    pen = ImageDraw.Draw(picture)
    coat, skin, hair = (
        f"#{chance.randrange(60, 150):02x}{chance.randrange(80, 160):02x}{chance.randrange(110, 190):02x}",
        "#e3bfa3",
        "#2b2623",
    )
    pen.ellipse((60, 590, 540, 1100), fill=coat)
    pen.rectangle((255, 480, 345, 640), fill=skin)
    pen.ellipse((190, 170, 410, 470), fill=hair)
    pen.ellipse((200, 220, 400, 530), fill=skin)
    jpeg_file = io.BytesIO()
    picture.save(jpeg_file, "JPEG", quality=90)
    return jpeg_file.getvalue()
