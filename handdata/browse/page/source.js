// What the page asks of its server.
import { caller } from "/call.js";

const KEPT = 600; // pictures in the browser's memory
const kept = new Map();

export const canEdit = true;

const ask = caller("handdata browse", "Every tag so far is saved.");
const call = (path, body) => ask(path, body === undefined ? {} : { method: "POST", body: JSON.stringify(body) });

const json = async (path, body) => (await call(path, body)).json();

let run = "";

export async function getTable() {
  const table = await json("/api/table");
  run = table.run;
  return table;
}

export const getState = () => json("/api/state");

export const getRows = (query) => json("/api/query", query);

export const getHand = (number) => json(`/api/hand/${number}`);

export const compute = (column) => json(`/api/compute/${encodeURIComponent(column)}`, {});

export const getFindings = () => json("/api/findings");

export const check = () => json("/api/findings", {});

export const postTag = (edit) => json("/api/tag", edit);

export const postNote = (number, text) => json("/api/note", { number, text });

export const postMend = (edit) => json("/api/mend", edit);

export const postSubset = (name, query) => json("/api/subset", { name, query });

// The address of a picture; `run` keeps the browser's cache from mixing up two datasets on the same port.
export async function getPicture(kind, number) {
  const path = `/api/picture/${kind}/${number}?run=${run}`;
  if (!kept.has(path)) {
    const blob = await (await call(path)).blob();
    kept.set(path, URL.createObjectURL(blob));
    if (kept.size > KEPT) forget();
  }
  return kept.get(path);
}

export async function getShipped(number) {
  const response = await call(`/api/picture/shipped/${number}?run=${run}`);
  const facts = JSON.parse(response.headers.get("x-handdata-picture"));
  return { ...facts, url: URL.createObjectURL(await response.blob()) };
}

export async function saveIds(query, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await call("/api/ids", query)).blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function forget() {
  const [oldest, url] = kept.entries().next().value;
  kept.delete(oldest);
  URL.revokeObjectURL(url);
}
