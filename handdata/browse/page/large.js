// One hand large: its picture with labels and predictions, three views of the pose, and all that is known of it.
import { $, make, makeSvg, tried, written } from "/dom.js";
import { threeViews } from "/poses.js";
import { drawBox, drawHand } from "/skeleton.js";
import { canEdit, getHand, getPicture, getShipped, postNote } from "/source.js";

const RUN_COLORS = ["#ff9f1c", "#b388ff"];
const ON_SHIPPED = ["labels", "names", "shipped"]; // what the picture as shipped is shown with

export class Large {
  // table: of the server; onStep(step): the next or previous hand; onClose(); onNote(): a note was written; onMend(): mend its labels.
  constructor(host, table, { onStep, onClose, onNote, onMend }) {
    Object.assign(this, { host, table, onStep, onClose, onNote, onMend, hand: null });
    this.shown = { labels: true, names: false, box: false, mask: false, shipped: false, ...Object.fromEntries(table.runs.map((name, run) => [`run${run}`, true])) };
  }

  get isOpen() {
    return !this.host.hidden;
  }

  async open(number) {
    const hand = await tried(() => getHand(number));
    if (!hand) return;
    this.hand = hand;
    this.host.hidden = false;
    this.host.dataset.number = number;
    this.shown.shipped = false;
    this.build();
    this.host.querySelector("#close").focus();
  }

  close() {
    this.host.hidden = true;
    this.onClose();
  }

  build() {
    const { hand } = this;
    const button = (id, title, text, work) => {
      const made = make("button", { id, title, ...(text.length === 1 ? { "aria-label": title } : {}) }, text);
      made.addEventListener("click", work);
      return made;
    };
    const head = make("div", { className: "row" }, make("h2", { className: "grow id", title: hand.id }, make("bdi", {}, hand.id)),
      button("previous", "Previous hand (Left)", "‹", () => this.onStep(-1)), button("next", "Next hand (Right)", "›", () => this.onStep(1)),
      canEdit ? button("mend-one", "Mend its labels (A)", "Mend", () => this.onMend()) : null, button("close", "Back to all (Esc)", "Close", () => this.close()));
    this.picture = make("div", { className: "picture" });
    this.poses = make("div", { className: "poses" });
    const left = make("div", { className: "left" }, this.picture, this.switches(), make("p", { id: "shipped-path", className: "dim" }));
    const right = make("div", { className: "right" }, this.poses, this.errors(), this.noteForm(), list("Labels and picture", hand.facts), list("Where it is from", hand.provenance), this.labels());
    this.host.replaceChildren(head, make("div", { className: "columns" }, left, right));
    this.draw();
  }

  switches() {
    const { hand, table } = this;
    const kinds = [["labels", "Labels (L)"], ["names", "Names"], ["box", "Box and crop"], ...(hand.has_mask ? [["mask", "Mask (M)"]] : []),
      ...table.runs.map((name, run) => [`run${run}`, `${name} (${run + 1})`]), ...(canEdit ? [["shipped", "Picture as shipped (P)"]] : [])];
    return make("div", { className: "switches" }, ...kinds.map(([name, title]) => {
      const box = make("input", { type: "checkbox", checked: this.shown[name], "data-show": name });
      box.addEventListener("change", () => this.toggle(name, box.checked));
      const swatch = name.startsWith("run") ? makeSvg("svg", { viewBox: "0 0 10 10", width: 10, height: 10, "aria-hidden": "true" }, makeSvg("rect", { width: 10, height: 10, rx: 3, fill: RUN_COLORS[name.slice(3)] })) : null;
      return make("label", {}, box, swatch, title);
    }));
  }

  toggle(name, on = !this.shown[name]) {
    const box = this.host.querySelector(`[data-show="${name}"]`);
    if (!box || box.disabled) return;
    this.shown[name] = box.checked = on;
    this.draw();
  }

  async draw() {
    const { hand, shown } = this, skeleton = this.table.skeleton;
    for (const box of this.host.querySelectorAll("[data-show]")) box.disabled = shown.shipped && !ON_SHIPPED.includes(box.dataset.show);
    if (shown.shipped) return this.drawShipped();
    $("shipped-path").textContent = "";
    const size = hand.canvas, svg = this.frame(size, size, await tried(() => getPicture("canvas", hand.number)));
    if (this.hand !== hand) return;
    if (shown.mask && hand.has_mask) svg.append(image(await tried(() => getPicture("mask", hand.number)), size, size));
    this.overlay(svg, (points) => points, size / 160);
    this.picture.replaceChildren(svg);
    const poses = this.table.runs.map((_, run) => ({ pose: hand.runs[run].pose, color: RUN_COLORS[run], dashed: true })).filter((_, run) => shown[`run${run}`]);
    this.poses.replaceChildren(...threeViews(skeleton, [...(shown.labels ? [{ pose: hand.pose }] : []), ...poses]));
    this.host.dataset.drawn = hand.number;
  }

  frame(width, height, url) {
    const svg = makeSvg("svg", { viewBox: `-0.5 -0.5 ${width} ${height}`, role: "img", "aria-label": `Hand ${this.hand.id}` });
    svg.append(image(url, width, height));
    return svg;
  }

  overlay(svg, moved, width) {
    const { hand, shown } = this, skeleton = this.table.skeleton;
    if (shown.box) svg.append(drawBox(hand.crop, "#ffd200"), drawBox(hand.box, "#00e5ff"));
    if (shown.labels) svg.append(drawHand(skeleton, moved(hand.points), { visible: hand.visible, width, names: shown.names }));
    hand.runs.forEach(({ points }, run) => shown[`run${run}`] && svg.append(drawHand(skeleton, moved(points), { color: RUN_COLORS[run], width: 0.8 * width, dashed: true })));
  }

  async drawShipped() {
    const { hand } = this, found = await tried(() => getShipped(hand.number));
    if (!found) return this.toggle("shipped", false);
    const svg = this.frame(found.width, found.height, found.url), points = hand.labels.map(({ uv }) => uv);
    if (this.shown.labels) svg.append(drawHand(this.table.skeleton, points, { visible: hand.visible, width: found.width / 400, names: this.shown.names }));
    this.picture.replaceChildren(svg);
    $("shipped-path").textContent = `${found.path}, ${found.width} x ${found.height} px`;
    this.host.dataset.drawn = `shipped ${hand.number}`;
  }

  errors() {
    const { runs } = this.hand;
    if (!runs.length) return null;
    const rows = runs.map(({ name, errors }) => make("tr", {}, make("th", { scope: "row" }, name),
      make("td", {}, errors["2D"] === null ? "–" : `${written(100 * errors["2D"], 2)} %`), make("td", {}, written(errors["3D"], 3))));
    return make("table", { id: "run-errors" }, make("caption", {}, "Mean error of this hand"),
      make("thead", {}, make("tr", {}, ...["Run", "2D, of the crop side", "3D, wrist to middle MCP"].map((title) => make("th", { scope: "col" }, title)))), make("tbody", {}, ...rows));
  }

  noteForm() {
    const { hand } = this;
    if (!canEdit) return hand.note || hand.tags.length ? make("p", {}, [hand.tags.join(", "), hand.note].filter(Boolean).join(": ")) : null;
    const text = make("textarea", { id: "note", rows: 2, maxLength: 2000, value: hand.note });
    const said = make("span", { className: "dim", id: "note-state" }, hand.note ? "saved" : "");
    text.addEventListener("input", () => (said.textContent = "not saved yet: leave the field or press Ctrl+Enter"));
    text.addEventListener("change", () => this.saveNote(hand, text, said));
    text.addEventListener("keydown", (event) => event.key === "Enter" && event.ctrlKey && this.saveNote(hand, text, said));
    return make("div", { className: "note" }, make("label", { htmlFor: "note" }, "Note (N)"), text, said,
      make("p", { id: "large-tags" }, ...hand.tags.map((tag) => make("span", { className: "tagged" }, tag))));
  }

  async saveNote(hand, text, said) {
    if (text.value === hand.note) return;
    said.textContent = "saving";
    const answer = await tried(() => postNote(hand.number, text.value));
    said.textContent = answer ? "saved" : "not saved";
    if (answer) {
      hand.note = text.value;
      this.onNote(hand);
    }
  }

  labels() {
    const rows = this.hand.labels.map(({ name, uv, xyz, visible, in_frame }) => make("tr", {}, make("th", { scope: "row" }, name),
      ...[...uv, ...xyz].map((value) => make("td", {}, written(value, 1))), make("td", {}, visible), make("td", {}, in_frame ? "yes" : "no")));
    const titles = ["Point", "u px", "v px", "x mm", "y mm", "z mm", "Visible", "In picture"];
    return make("details", {}, make("summary", {}, "21 points"), make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "21 points" },
      make("table", {}, make("thead", {}, make("tr", {}, ...titles.map((title) => make("th", { scope: "col" }, title)))), make("tbody", {}, ...rows))));
  }
}

function image(url, width, height) {
  return makeSvg("image", { href: url ?? "", x: -0.5, y: -0.5, width, height, preserveAspectRatio: "none" });
}

function list(title, facts) {
  const rows = Object.entries(facts).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  return make("details", { open: true }, make("summary", {}, title), make("dl", {}, ...rows));
}
