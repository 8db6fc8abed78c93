import json
import math
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("model.onnx")
about = json.loads(session.get_modelmeta().custom_metadata_map["shardfeed"])
how, outputs = about["image"], about["outputs"]
scale = about["calibration"] or {"temperatures": [1] * len(outputs), "power": 1}

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")  # some others start programs
MAX_BYTES, MAX_PIXELS = 20_000_000, 50_000_000
MAX_SCANS = 32  # of a JPEG; each goes through all of its pixels


def open_image(file):
    """Reads an image's header; decodes nothing yet."""
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError("too many pixels")
    image.fp.seek(0)
    data = image.fp.read()
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_SCANS:
        raise ValueError("too many scans")
    return image


def prepare(file):
    """Does what `convert` did: uint8, shape (1, height, width, channels)."""
    image = open_image(file)
    if how["exif"]:
        image = ImageOps.exif_transpose(image)
    image = image.convert("RGBA")
    if how["alpha"] != "drop":  # a paper of this colour
        image = Image.alpha_composite(Image.new("RGBA", image.size, how["alpha"]), image)
    image = image.crop(how["crop"] or (0, 0, *image.size))
    size, resample = (how["width"], how["height"]), Image.Resampling[how["resample"].upper()]
    if how["fit"] == "pad":
        image = pad(image, size, resample)
    else:
        image = image.resize(size, resample).convert("RGB")
    if how["channels"] == 1:
        image = image.convert("L")
    return np.asarray(image).reshape(1, how["height"], how["width"], how["channels"])


def pad(image, size, resample):
    """Keeps the image's shape; around it comes the median colour of its outermost pixels."""
    (width, height), (columns, rows) = image.size, size
    if width * rows > height * columns:
        inner = columns, max(1, (2 * height * columns + width) // (2 * width))
    else:
        inner = max(1, (2 * width * rows + height) // (2 * height)), rows
    resized = image.resize(inner, resample).convert("RGB")
    is_opaque = image.getextrema()[3][0] == 255
    pixels = np.asarray(image.convert("RGB") if is_opaque else resized)
    edge = np.ones(pixels.shape[:2], bool)
    edge[1:-1, 1:-1] = False
    border = np.sort(pixels[edge], axis=0)
    canvas = Image.new("RGB", size, tuple(border[(len(border) - 1) // 2].tolist()))
    corner = ((columns - inner[0]) // 2, (rows - inner[1]) // 2)
    canvas.paste(resized, corner)
    return canvas


def confidence(probabilities, temperature):
    """Returns the largest of p^(1/T), normalised: how often such a reading is right."""
    return 1 / ((probabilities / probabilities.max()) ** (1 / temperature)).sum()


def read(file):
    """Returns the text in an image, and the probability that all of it is right."""
    names = [output["name"] for output in outputs]
    found = [p[0] for p in session.run(names, {about["input"]["name"]: prepare(file)})]
    text = "".join(o["classes"][p.argmax()] for o, p in zip(outputs, found, strict=True))
    sure = [confidence(*each) for each in zip(found, scale["temperatures"], strict=True)]
    return {"text": text, "confidence": float(math.prod(sure)) ** scale["power"]}


class Handler(BaseHTTPRequestHandler):
    timeout = 10  # seconds, for a client that promises more than it sends

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > MAX_BYTES:
            self.send_error(413, f"send an image of at most {MAX_BYTES} bytes, and its length")
            return
        try:
            found = read(BytesIO(self.rfile.read(int(length))))
        except Exception:  # whatever the decoders stumble over
            self.send_error(400, "no image that can be read")
            return
        answer = json.dumps(found, ensure_ascii=False).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
