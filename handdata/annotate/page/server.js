// What the annotators' pages ask of their server.
import { caller } from "/call.js";

const call = caller("The annotator", "Every edit made so far is safe.");

export const getSequence = async () => (await call("/api/sequence")).json();

export const getSequences = async () => (await call("/api/sequences")).json();

export const getState = async (since, focus) => (await call(`/api/state?since=${since}&focus=${focus}`)).json();

export const postEdit = async (edit) => (await call("/api/edit", { method: "POST", body: JSON.stringify(edit), keepalive: true })).json();

export const postImport = async (kind, text) => (await call(`/api/import/${kind}`, { method: "POST", body: text })).json();

// `run` keeps the browser's cache from mixing up two sequences opened one after the other on the same port.
export async function getPicture(run, index, width) {
  const response = await call(`/api/frame/${index}?width=${width}&run=${run}`);
  return createImageBitmap(await response.blob());
}

export async function saveExport(kind) {
  const response = await call(`/api/export/${kind}`);
  const name = /filename="(.+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? "boxes";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
