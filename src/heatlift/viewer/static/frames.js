/** Frames that were fetched, kept in memory while there is room: moving the slider back asks for nothing. */

import { downloadUrl, frame, pictureUrl } from "./api.js";

const ROOM = 200e6; // bytes
const kept = new Map(); // the frame used last is at its end
let held = 0;

/** Where a panel gets an image's pictures and frames from. */
export function sourceOf(run, image) {
  const picture = (there, which) => (there ? pictureUrl(run, image.id, which) : null);
  return {
    original: picture(image.original, "original"),
    reference: picture(image.reference, "reference"),
    frame: (layer, number) => remembered(`${run}/${image.id}/${layer}/${number}`, () => frame(run, image.id, layer, number)),
    download: (layer, number, format, channel) => downloadUrl(run, image.id, layer, number, format, channel),
  };
}

function remembered(key, fetched) {
  const found = kept.get(key) ?? { frame: fetched(), bytes: 0 };
  kept.delete(key);
  kept.set(key, found);
  if (found.bytes) return found.frame;
  found.frame.then((frame) => measure(key, found, frame), () => {
    if (kept.get(key) === found) kept.delete(key); // so that it can be tried again
  });
  return found.frame;
}

function measure(key, found, { levels }) {
  if (found.bytes || kept.get(key) !== found) return;
  found.bytes = levels.byteLength;
  held += found.bytes;
  for (const [oldest, { bytes }] of kept) {
    if (held <= ROOM) return;
    kept.delete(oldest);
    held -= bytes;
  }
}
