/**
 * What is looked at, as the part of the address after #: a copied link opens exactly the same view.
 *
 * run, tab, where (a condition as JSON, any number of times), sort, descending, method and operation (which scores
 * are offered), image, at (place in the list), beside (another run), linked; and what the panels show: layer,
 * step, channel, mode, opacity, swipe, colours, those of the second panel after "other.".
 */

const PANEL = ["layer", "step", "channel", "mode", "opacity", "swipe", "colours"];
const USUAL = { layer: 0, channel: "sum", mode: "side", opacity: 0.8, swipe: 0.5, colours: "step" }; // the panel's own
const PLAIN = ["tab", "sort", "method", "operation", "image", "beside"];
const watchers = new Set();

/** The state that an address stands for; the present one by default. */
export function read(hash = location.hash) {
  const given = new URLSearchParams(hash.slice(1));
  const panel = (prefix) => Object.fromEntries(PANEL.filter((key) => given.has(prefix + key)).map((key) => [key, given.get(prefix + key)]));
  const state = Object.fromEntries(PLAIN.map((key) => [key, given.get(key)]));
  const at = given.get("at");
  return {
    ...state,
    run: Number(given.get("run") ?? 0),
    tab: state.tab === "scores" ? "scores" : "images",
    where: given.getAll("where").map(parsed).filter(Boolean),
    descending: given.has("descending") ? given.get("descending") === "1" : null,
    at: /^\d{1,12}$/.test(at ?? "") ? Number(at) : null,
    linked: given.get("linked") !== "0",
    panel: panel(""),
    other: panel("other."),
  };
}

/** The address of a state; what is as by default is left out. */
export function link(state) {
  const hash = new URLSearchParams();
  const put = (key, value) => value !== null && value !== undefined && value !== "" && hash.append(key, value);
  put("run", state.run);
  if (state.tab !== "images") put("tab", state.tab);
  for (const condition of state.where) put("where", JSON.stringify(condition));
  for (const key of PLAIN.slice(1)) put(key, state[key]);
  if (state.descending !== null) put("descending", state.descending ? 1 : 0);
  put("at", state.at);
  if (!state.linked) put("linked", 0);
  const panel = (prefix, shown) => PANEL.filter((key) => String(shown[key]) !== String(USUAL[key])).forEach((key) => put(prefix + key, shown[key]));
  if (state.image) panel("", state.panel);
  if (state.image && state.beside) panel("other.", state.other);
  return `#${hash}`;
}

/** The state of nothing but a run's images, in its own order. */
export function plain(run) {
  return read(`#run=${run}`);
}

/** Go to a state, as a step that the browser's back button undoes. */
export function go(state) {
  if (link(state) === location.hash) return;
  history.pushState(null, "", link(state));
  for (const watcher of watchers) watcher(state);
}

/** Write down what is shown already, without a step in the browser's history. */
export function note(state) {
  history.replaceState(null, "", link(state));
}

/** Hear of every other state that is gone to, also by the browser's own buttons. */
export function watch(watcher) {
  if (!watchers.size) addEventListener("popstate", () => watchers.forEach((each) => each(read())));
  watchers.add(watcher);
}

function parsed(text) {
  try {
    const condition = JSON.parse(text);
    return typeof condition?.column === "string" ? condition : null;
  } catch {
    return null; // a link that was cut off: what is left of it still opens
  }
}
