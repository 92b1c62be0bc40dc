/** What a panel is at: a state that its image can be in, what that is called, and the figures that belong to it. */

/** A state that this image can be shown in, whatever a link says. */
export function settled(image, { layer, step, channel, mode, opacity, swipe, colours }) {
  const whole = (value, count, otherwise) => (value !== null && value !== "" && Number.isInteger(Number(value)) && value >= 0 && value < count ? Number(value) : otherwise);
  const within = (value, otherwise) => (value !== null && value !== "" && value >= 0 && value <= 1 ? Number(value) : otherwise);
  const oneOf = (value, values) => (values.includes(value) ? value : values[0]);
  const chosen = whole(layer, image.layers.length, 0);
  const { steps, own } = image.layers[chosen];
  return {
    layer: chosen,
    step: whole(step ?? null, steps.length, own ?? 0),
    channel: oneOf(channel, ["sum", "red", "green", "blue"]),
    mode: oneOf(mode, ["side", "overlay", "swipe"]),
    opacity: within(opacity ?? null, 0.8),
    swipe: within(swipe ?? null, 0.5),
    colours: oneOf(colours, ["step", "all"]),
  };
}

/** Whether a sum over channels is shown, which lies around zero whatever leaves a pixel as it is. */
export function isSum(layer, { channel }) {
  return layer.channels > 1 && channel === "sum";
}

/** What the heatmap's picture is of. */
export function whatIsShown(layer, state) {
  if (layer.kind === "taken") return "Mask: share taken away";
  if (layer.channels === 1) return "Heatmap";
  if (isSum(layer, state)) return `Heatmap, sum ${layer.neutral ? "of h − 1 " : ""}over red, green and blue`;
  return `Heatmap, ${state.channel} channel`;
}

/** A frame's step; the last of several may be the result, a mean over many steps that is none itself. */
export function stepWords({ steps, title }, place) {
  if (steps[place] !== null) return `step ${steps[place]}`;
  return steps.length > 1 ? "result" : title;
}

/** The last step that is one; null where there is none. */
export function lastStep(steps) {
  return steps.at(-1) ?? steps.at(-2) ?? null;
}

/** The place in `steps` of the step nearest to one. */
export function nearest(steps, wanted) {
  const far = (step) => (step === null ? Infinity : Math.abs(step - wanted));
  return steps.reduce((best, step, at) => (far(step) < far(steps[best]) ? at : best), 0);
}

/**
 * What is known of a frame: {co, target, label, top}, and in `seen` those of them that are only about the view
 * of the image that the step saw. The result's own figures are about the image itself.
 */
export function figuresAt({ steps, own, figures, result }, place) {
  const at = figures?.step.indexOf(steps[place]) ?? -1;
  const found = { top: at < 0 ? null : figures.top?.[at] ?? null };
  const seen = new Set(figures?.view ? ["top"] : []);
  for (const [name, key] of Object.entries({ co: "co", target: "p_target", label: "p_label" })) {
    const certified = place === own ? result?.[key] ?? null : null;
    found[name] = certified ?? (at < 0 ? null : figures[key]?.[at] ?? null);
    if (figures?.view && certified === null) seen.add(name);
  }
  return { ...found, seen };
}
