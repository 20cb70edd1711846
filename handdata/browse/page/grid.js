// The grid: small pictures with captions, one of them in focus; arrows walk, Enter opens.
import { make, written } from "/dom.js";
import { getPicture } from "/source.js";

const PADDED = "image padded"; // says nothing of the labels
const AT_ONCE = 4; // pictures asked for at a time: a browser has six connections to a server, and a verb must not wait

export class Grid {
  // onOpen(index): one is to be shown large; onEdge(step): an arrow leads beyond this page.
  constructor(host, onOpen, onEdge) {
    Object.assign(this, { host, onOpen, onEdge, rows: [], cells: [], index: 0, waiting: [], loading: 0, came: () => {} });
    host.addEventListener("keydown", (event) => this.key(event));
  }

  get current() {
    return this.rows[this.index] ?? null;
  }

  // rows: of the server; kind: of pictures; describe(row): a second line below each. Returns a promise of the first picture.
  show(rows, kind, describe, index = 0) {
    this.came();
    const first = new Promise((done) => (this.came = done)), came = this.came;
    this.waiting = [];
    this.rows = rows;
    this.cells = rows.map((row, place) => {
      const picture = make("img", { alt: "", width: 192, height: 192 });
      const wrong = row.flags.filter((flag) => flag !== PADDED);
      const flagged = wrong.length ? make("span", { className: "flag", title: wrong.join(", ") }, "flag") : null;
      const tags = row.tags.map((tag) => make("span", { className: "tagged" }, tag));
      const cell = make("button", { className: "cell", tabIndex: -1, "data-number": row.number },
        picture, make("span", { className: "id", title: row.id }, make("bdi", {}, row.id)), make("span", { className: "dim" }, describe(row)),
        make("span", { className: "marks" }, flagged, ...tags, row.note ? make("span", { className: "tagged", title: row.note }, "note") : null));
      cell.addEventListener("click", () => (this.focus(place), this.onOpen(place)));
      cell.addEventListener("focus", () => this.mark(place));
      this.waiting.push(() => this.load(picture, kind, row.number).then(came));
      return cell;
    });
    this.host.replaceChildren(...this.cells.map((cell) => make("li", {}, cell)));
    this.mark(Math.min(index, Math.max(0, rows.length - 1)));
    while (this.loading < AT_ONCE && this.loading < rows.length) this.loadOn();
    if (!rows.length) came();
    return first;
  }

  // Load what waits, one after the other.
  async loadOn() {
    this.loading++;
    while (this.waiting.length) await this.waiting.shift()();
    this.loading--;
  }

  async load(picture, kind, number) {
    try {
      picture.src = await getPicture(kind, number);
    } catch (error) {
      picture.alt = error.message;
    }
  }

  mark(index) {
    this.cells[this.index]?.setAttribute("tabindex", "-1");
    this.index = index;
    this.cells[index]?.setAttribute("tabindex", "0");
  }

  focus(index = this.index) {
    this.mark(index);
    this.cells[index]?.focus();
  }

  perLine() {
    const top = this.cells[0]?.getBoundingClientRect().top;
    const count = this.cells.findIndex((cell) => cell.getBoundingClientRect().top > top);
    return count < 0 ? this.cells.length : count;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const line = this.perLine();
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -line, ArrowDown: line, Home: -this.index, End: this.cells.length - 1 - this.index }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = this.index + step;
    if (next >= 0 && next < this.cells.length) this.focus(next);
    else if (event.key !== "Home" && event.key !== "End") this.onEdge(Math.sign(step));
  }
}

// The second line of a caption: what hands differ in, and what they are sorted by.
export function describer(table, sort) {
  const number = table.numbers[sort], [, compared] = sort.match(/^difference_(.+)$/) ?? [];
  return (row) => {
    if (!number) return [row.split, row.side].filter(Boolean).join(" · ");
    const short = number.title.split(",")[0];
    if (compared) return `${short} ${table.runs.map((name) => written(row[`error_${compared}_${name}`], number.digits)).join(" against ")}`;
    return `${short} ${written(row[sort], number.digits)}`;
  };
}
