/**
 * From levels to pixels: what of a heatmap is shown, where its colours end, and the image it changes.
 * A frame is {levels: Int8Array (channels x h x w), unit, largest}; the signed value is level * unit.
 */

const STOPS = {
  // blue - white - red, the ends of ColorBrewer's RdBu: lightness falls evenly on both sides of zero
  signed: [[5, 48, 97], [67, 147, 195], [209, 229, 240], [255, 255, 255], [253, 219, 199], [214, 96, 77], [103, 0, 31]],
  // white - dark brown, ColorBrewer's Oranges: the share of a pixel that is taken away
  taken: [[255, 255, 255], [254, 230, 206], [253, 174, 107], [230, 85, 13], [127, 39, 4]],
};

const SHADES = 255; // odd, so that zero has a colour of its own

/** Beyond the 99th percentile all is the last colour: a few extreme pixels leave the others visible. */
const SATURATED = 0.99;

const palettes = new Map(Object.entries(STOPS).map(([kind, stops]) => [kind, shadesBetween(stops)]));

/** What is shown of a frame, in levels: one channel, or the sum over all of them. */
export function shownLevels(levels, channels, channel) {
  const size = levels.length / channels;
  const place = ["red", "green", "blue"].indexOf(channel);
  if (channels === 1) return levels;
  if (place >= 0) return levels.subarray(place * size, (place + 1) * size);
  const sum = new Int16Array(size);
  for (let at = 0, pixel = 0; at < levels.length; at++, pixel = pixel + 1 === size ? 0 : pixel + 1) sum[pixel] += levels[at];
  return sum;
}

/** The level at which the colours end; 1 where everything is 0. */
export function saturation(values) {
  const counts = new Uint32Array(400); // at most three channels of 128 levels
  for (let at = 0; at < values.length; at++) counts[Math.abs(values[at])]++;
  const enough = SATURATED * (values.length - 1) + 1;
  let level = 0;
  for (let seen = counts[0]; seen < enough; seen += counts[level]) level++;
  return level || counts.findLastIndex((count) => count > 0) || 1;
}

/**
 * Paint a heatmap; with an opacity as a layer to be laid over the photograph: the stronger
 * a value, the more of its colour, so that the photograph stays visible where the heatmap says nothing.
 */
export function paintHeatmap(canvas, values, limit, kind, opacity = null) {
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(picture.data.buffer);
  const palette = palettes.get(kind);
  const middle = kind === "signed" ? (SHADES - 1) / 2 : 0;
  const scale = (SHADES - 1 - middle) / limit;
  for (let at = 0; at < values.length; at++) {
    const shade = Math.round(Math.max(-middle, Math.min(SHADES - 1 - middle, values[at] * scale)));
    pixels[at] = palette[middle + shade];
    if (opacity !== null) picture.data[at * 4 + 3] = (255 * opacity * Math.abs(shade)) / (SHADES - 1 - middle);
  }
  context.putImageData(picture, 0, 0);
}

/** Paint the image that the heatmap makes of the original: x + h, x * h, or g(x) in place of what is taken. */
export function paintChanged(canvas, original, reference, frame, layer) {
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  const to = picture.data;
  const size = to.length / 4;
  const { levels, unit } = frame;
  const changed = {
    add: (x, signed) => x + 255 * signed,
    multiply: (x, signed) => x * (1 + signed),
    blur: (x, signed, at) => x + (reference.data[at] - x) * signed,
  }[layer.operation];
  for (let colour = 0; colour < 3; colour++) {
    const first = layer.channels === 1 ? 0 : colour * size;
    for (let pixel = 0, at = colour; pixel < size; pixel++, at += 4) to[at] = changed(original.data[at], levels[first + pixel] * unit, at);
  }
  for (let at = 3; at < to.length; at += 4) to[at] = 255;
  context.putImageData(picture, 0, 0);
}

/** Paint all colours of a kind from left to right. */
export function paintScale(canvas, kind) {
  canvas.width = SHADES;
  canvas.height = 1;
  const from = kind === "signed" ? -(SHADES - 1) / 2 : 0;
  const values = Int16Array.from({ length: SHADES }, (_, at) => from + at);
  paintHeatmap(canvas, values, kind === "signed" ? (SHADES - 1) / 2 : SHADES - 1, kind);
}

/** A picture's pixels, at a size if one is given; a rejected promise where it cannot be read. */
export async function pixelsOf(url, size = null) {
  const picture = new Image();
  picture.src = url;
  await picture.decode().catch(() => { throw new Error("The original image could not be read."); });
  const [width, height] = size ?? [picture.naturalWidth, picture.naturalHeight];
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function shadesBetween(stops) {
  const bytes = new Uint8ClampedArray(SHADES * 4);
  for (let shade = 0; shade < SHADES; shade++) {
    const place = (shade / (SHADES - 1)) * (stops.length - 1);
    const below = Math.min(Math.floor(place), stops.length - 2);
    const mixed = stops[below].map((from, colour) => from + (stops[below + 1][colour] - from) * (place - below));
    bytes.set([...mixed, 255], shade * 4);
  }
  return new Uint32Array(bytes.buffer); // as the pixels of a picture are laid out, whatever the byte order
}
