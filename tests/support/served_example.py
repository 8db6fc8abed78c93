import json
import math
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import numpy as np
import onnxruntime
from PIL import Image, ImageOps, UnidentifiedImageError

session = onnxruntime.InferenceSession("model.onnx")
about = json.loads(session.get_modelmeta().custom_metadata_map["shardfeed"])
how, outputs = about["image"], about["outputs"]
if how.get("row_boxes"):
    raise SystemExit("model.onnx reads crops by boxes of a label file, which images do not have")
scale = about["calibration"] or {"temperatures": [1] * len(outputs), "power": 1}

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")  # some others start programs
MAX_BYTES, MAX_PIXELS = 20_000_000, 50_000_000
MAX_SCANS = 32  # of a JPEG; each goes through all of its pixels
ROOM = threading.Semaphore(4)  # images decoded at once: each may take 400 MB


def open_image(file):
    """Reads an image's header and the checksums of a PNG; decodes nothing yet."""
    too_large = ValueError(f"the image has more than {MAX_PIXELS} pixels")
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(f"no image of these formats: {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise too_large from None
    if image.width * image.height > MAX_PIXELS:
        raise too_large
    image.fp.seek(0)
    data = image.fp.read()
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_SCANS:
        raise ValueError(f"the JPEG has more than {MAX_SCANS} scans")
    image.verify()
    return Image.open(BytesIO(data), formats=FORMATS)


def decode(file):
    """Returns an image in RGBA, turned as its EXIF orientation says if `convert` did so."""
    try:
        image = open_image(file)
        return (ImageOps.exif_transpose(image) if how["exif"] else image).convert("RGBA")
    except (ValueError, MemoryError):
        raise
    except Exception:  # whatever the decoders stumble over
        raise ValueError("the image is damaged or cut short") from None


def prepare(file):
    """Does what `convert` did: uint8, shape (1, height, width, channels)."""
    image = decode(file)
    if how["alpha"] != "drop":  # a paper of this colour
        image = Image.alpha_composite(Image.new("RGBA", image.size, how["alpha"]), image)
    box = how["crop"] or (0, 0, *image.size)
    if (box[2] > image.width or box[3] > image.height) and not how["pad_crop"]:
        raise ValueError(f"the crop box {box} reaches past an image of {image.size}")
    image = image.crop(box)
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
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return  # the client has gone
        try:
            with ROOM:
                found = read(BytesIO(body))
        except (ValueError, MemoryError) as error:
            self.send_error(400, str(error) or "the image does not fit in memory")
            return
        self.answer(200, found)

    def send_error(self, code, message=None, explain=None):
        self.answer(code, {"error": message or self.responses[code][0]})

    def answer(self, code, content):
        line = json.dumps(content, ensure_ascii=False).encode() + b"\n"
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(line)))
        self.end_headers()
        self.wfile.write(line)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # a container's first process must ask
    address = os.environ.get("HOST", "127.0.0.1"), 8000
    ThreadingHTTPServer(address, Handler).serve_forever()
