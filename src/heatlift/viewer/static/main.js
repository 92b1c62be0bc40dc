/** The page: what the address says is shown, and runs that grow are followed. */

import { element } from "/panel/elements.js";
import { go, link, note, plain, read, watch } from "./address.js";
import { GONE, runs as fetchRuns } from "./api.js";
import { Filters } from "./filters.js";
import { Grid } from "./grid.js";
import { Header } from "./header.js";
import { ImageView } from "./image.js";
import { listen } from "./keys.js";
import { Rows } from "./rows.js";
import { Scores } from "./scores.js";

const FOLLOW = 2000; // milliseconds between looks at a run that grows
const NOTED = 250; // milliseconds until what is shown is in the address: browsers allow few changes a second

const host = (id) => document.getElementById(id);
let runs = [];
let started = null; // of the server's: another one may have other runs
let rows = null;
let state = read();

const header = new Header(host("header"), act);
const filters = new Filters(host("filters"), (change) => act({ ...change, at: null }));
const scores = new Scores(host("scores"), complain);
const grid = new Grid(host("images"), { href: (row, at) => link({ ...state, image: row.id, at }), moved: (at) => jot({ at: at || null }), problem: complain });
const image = new ImageView(host("image"), { act, note: jot, problem: complain, address: () => (jot.flush(), location.href) });

/** Go where a change of the state leads. */
function act(change) {
  jot.flush();
  go({ ...state, ...change });
}

/** Bring a change that is visible already into the address, once the reader pauses. */
function jot(change) {
  state = { ...state, ...change };
  clearTimeout(jot.timer);
  jot.timer = setTimeout(jot.flush, NOTED);
}
jot.flush = () => {
  if (jot.timer) note(state);
  clearTimeout(jot.timer);
  jot.timer = null;
};

function show(next) {
  clearTimeout(jot.timer);
  jot.timer = null;
  const before = state;
  state = next;
  const run = runs[state.run];
  host("waiting").hidden = true;
  if (!run) return missing();
  const list = rows;
  const view = state.image ? "image" : state.tab;
  // Before anything above them changes its height: they remember where the reader was.
  for (const [name, each] of Object.entries({ image, scores, images: grid })) if (name !== view) each.hide();
  document.body.dataset.view = view;
  host("header").hidden = false;
  header.show(runs, run, state);
  follow(run);
  host("notice").hidden = true;
  if (state.image) {
    filters.hide();
    image.show(runs, state, rows);
    return;
  }
  document.title = `${run.name} – heatlift`;
  filters.show(run, state, order(run));
  filters.tell(rows);
  const back = Boolean(before.image) && rows === list; // to the tile of the image that was looked at last
  if (state.tab === "scores") scores.show(run, state);
  else grid.show(rows, back ? before.at ?? state.at : state.at, back);
}

/** What the list is sorted by: where the address leaves it open the run's own column, numbers from the highest. */
function order(run) {
  const sort = state.sort ?? run.sort;
  const column = run.columns.find(({ key }) => key === sort);
  return { sort, descending: state.descending ?? column?.type === "number" };
}

/** The list that the address stands for: the same object as long as it is the same list. */
function follow(run) {
  const query = { where: state.where, ...order(run) };
  if (rows && JSON.stringify([rows.run, rows.query]) === JSON.stringify([run.id, query])) return;
  rows = new Rows(run.id, query);
  rows.addEventListener("rows", () => filters.tell(rows));
  if (state.tab === "scores" && !state.image) rows.row(0).catch(complain); // for the count
}

function missing() {
  for (const view of [filters, grid, scores, image]) view.hide();
  const open = `${runs.length} ${runs.length === 1 ? "is" : "are"} open.`;
  host("header").hidden = true;
  host("waiting").replaceChildren(element("h1", {}, "There is no such run here"), `${open} `, element("a", { href: link(plain(0)) }, "Go to the first"));
  host("waiting").hidden = false;
}

function complain(error) {
  host("notice").hidden = false;
  host("notice").querySelector("p").textContent = error.message;
  if (error.message === GONE) watchRuns(FOLLOW);
}

/** Look at the runs again for as long as one of them grows, or the server does not answer. */
function watchRuns(wait) {
  clearTimeout(watchRuns.timer);
  watchRuns.timer = setTimeout(async () => {
    try {
      const found = await fetchRuns();
      if (found.started !== started || host("notice").textContent.includes(GONE)) return again();
      const before = runs[state.run];
      runs = found.runs;
      if (runs[state.run]) header.show(runs, runs[state.run], state);
      if (content(before) !== content(runs[state.run])) grown();
      if (runs.some(({ status, loading }) => status === "running" || loading)) watchRuns(FOLLOW);
    } catch (error) {
      complain(error);
      watchRuns(2 * FOLLOW);
    }
  }, wait);
}

/** What of a run is in its lists and figures: not how fast it is, and when it was written last. */
function content({ facts, pace, ...rest } = {}) {
  return JSON.stringify(rest);
}

/** The server is another, or was gone: nothing that is shown or remembered need be true any more. */
function again() {
  jot.flush();
  location.reload();
}

function grown() {
  const run = runs[state.run];
  if (!run) return;
  scores.refresh();
  rows?.refresh();
  const list = rows;
  follow(run);
  if (state.image) return void image.grown(runs, rows);
  filters.show(run, state, order(run));
  if (state.tab === "scores") {
    scores.show(run, state);
    rows.row(0).catch(complain); // for the count
  } else if (rows !== list) grid.show(rows);
}

async function start() {
  try {
    ({ runs, started } = await fetchRuns());
  } catch (error) {
    host("waiting").hidden = true;
    return complain(error);
  }
  show(read());
  watch(show);
  watchRuns(FOLLOW);
  addEventListener("focus", () => watchRuns(0)); // who comes from a terminal may have started the viewer again there
}

history.scrollRestoration = "manual";
host("notice").querySelector("button").addEventListener("click", () => (host("notice").hidden = true));
document.querySelector(".skip").addEventListener("click", (event) => (event.preventDefault(), host("main").focus()));
listen({ image: () => (state.image ? image : null) });
start();
