/** In a notebook's page: panels of the images whose data the page itself holds. */

import { aboutImage, namesOf, problemsOf } from "./about.js";
import { chooser, element, labelled } from "./elements.js";
import { mount } from "./panel.js";

/** Mount what the page's data describe, in place of the element that holds them. */
export function mountEmbedded(holder) {
  const { images } = JSON.parse(holder.textContent);
  const host = element("div");
  const show = (place) => {
    shown?.destroy();
    const { details } = images[place];
    const panel = element("div");
    const names = images.length > 1 ? namesOf(details, "h2") : null; // one alone is named by the notebook itself
    host.replaceChildren(...[names, ...problemsOf(details), panel, aboutImage(details)].filter(Boolean));
    shown = mount(panel, details, embeddedSource(images[place]));
  };
  let shown = null;
  const choices = images.map(({ details }, place) => [place, details.name]);
  const select = chooser({ change: () => show(Number(select.value)) }, choices, 0);
  holder.before(element("div", { class: "heatlift-embedded" }, images.length > 1 ? labelled("Image", select) : null, host));
  if (images.length) show(0);
}

function embeddedSource({ original, reference, frames, details }) {
  const unpacked = [];
  const layers = frames.flat();
  return {
    original,
    reference,
    async frame(layer, place) {
      const { data, units, largest } = layers[layer];
      const all = await (unpacked[layer] ??= inflated(data));
      const size = all.length / details.layers[layer].steps.length;
      return { levels: all.subarray(place * size, (place + 1) * size), unit: units[place], largest: Number(largest[place]) };
    },
  };
}

async function inflated(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Int8Array(await new Response(stream).arrayBuffer());
}

const held = document.getElementById("heatlift-data");
if (held) mountEmbedded(held);
