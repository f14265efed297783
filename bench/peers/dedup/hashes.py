"""imagededup's perceptual and difference hashes, by ImageHash: every pair of pictures of a folder whose 64 bits differ
in at most 10, its default. hashes.py LIBRARY OUT writes OUT/phash.pairs and OUT/dhash.pairs."""
import os
import sys
import time

import imagehash
import numpy
from PIL import Image

library, out = sys.argv[1:]
MOST = 10
paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(library) for name in names)

for name, method in (("phash", imagehash.phash), ("dhash", imagehash.dhash)):
    start = time.time()
    hashes = numpy.zeros((len(paths), 8), numpy.uint8)
    for i, path in enumerate(paths):
        with Image.open(path) as picture:
            hashes[i] = numpy.packbits(method(picture).hash)
    hashes = hashes.view(numpy.uint64)[:, 0]
    pairs = []
    for i in range(1, len(paths)):
        distances = numpy.bitwise_count(hashes[:i] ^ hashes[i])
        pairs += [(distances[j], paths[j], paths[i]) for j in numpy.flatnonzero(distances <= MOST)]
    with open(f"{out}/{name}.pairs", "w") as file:
        print(f"# seconds {time.time() - start}", file=file)
        for distance, a, b in pairs:
            print(f"distance {distance}", a, b, sep="\t", file=file)
