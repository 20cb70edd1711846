// Words in an element that is hidden else: shown for a while, above an open dialog too.
const timers = {};

// An open dialog lies above the whole page, so what is said meanwhile is said in it.
function bringUp(says) {
  const dialog = document.querySelector("dialog[open]");
  if (!dialog || dialog.contains(says)) return;
  const place = says.parentElement;
  dialog.append(says);
  dialog.addEventListener("close", () => place.append(says), { once: true });
}

// id: of the element, whose parent holds nothing but such elements; no words hide it.
export function show(id, words, ms) {
  const box = document.getElementById(id);
  if (words) bringUp(box.parentElement);
  box.textContent = words;
  box.hidden = !words;
  clearTimeout(timers[id]);
  timers[id] = setTimeout(() => (box.hidden = true), ms);
}
