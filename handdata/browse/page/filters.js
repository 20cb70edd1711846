// The filters: one part per column. It holds what is wanted; the server finds the rows.
import { make, written } from "/dom.js";

const LISTED = 40; // values of a column shown at once; others by typing

export class Filters {
  // table: of the server; onChange(): what is wanted changed; onCompute(column): a slow one is asked for; onClear().
  constructor(host, table, { onChange, onCompute, onClear }) {
    Object.assign(this, { host, table, onChange, onCompute, onClear, chosen: {}, ranges: {}, text: "", parts: {}, timer: 0 });
    this.build();
  }

  where() {
    const where = {};
    for (const [name, values] of Object.entries(this.chosen)) if (values.size) where[name] = [...values];
    for (const [name, range] of Object.entries(this.ranges)) if (range.some((end) => end !== null)) where[name] = range;
    if (this.text) where.id = this.text;
    return where;
  }

  clear() {
    Object.assign(this, { chosen: {}, ranges: {}, text: "" });
    this.build();
    this.update(this.counts ?? {}, this.table);
    this.onChange();
  }

  build() {
    const { choices, flags, numbers } = this.table;
    this.parts = {};
    this.id = make("input", { type: "text", id: "filter-id", value: this.text, placeholder: "part of an id", autocomplete: "off" });
    this.id.addEventListener("input", () => this.soon(() => (this.text = this.id.value.trim())));
    const clear = make("button", { type: "button", id: "clear", title: "Clear all filters (C)" }, "Clear");
    clear.addEventListener("click", () => this.onClear());
    this.host.replaceChildren(make("div", { className: "row" }, make("label", { className: "grow" }, "Id ", this.id), clear));
    for (const [name, { title, names }] of Object.entries(choices)) if (names.length > 1) this.addChoice(name, title, names);
    if (flags.length > 1) this.addChoice("flags", "Flags", flags);
    this.addChoice("tags", "Tags", Object.keys(this.table.tags));
    for (const [name, facts] of Object.entries(numbers)) this.addNumber(name, facts);
  }

  addChoice(name, title, names) {
    const list = make("div", { className: "values" }), part = { names, list, find: null };
    const details = make("details", { open: names.length <= 8 }, make("summary", {}, title));
    if (names.length > LISTED) {
      part.find = make("input", { type: "text", placeholder: `find among ${names.length}`, "aria-label": `${title}: find` });
      part.find.addEventListener("input", () => this.list(name));
      details.append(part.find);
    }
    details.append(list);
    details.dataset.filter = name;
    this.parts[name] = part;
    this.host.append(details);
    this.list(name);
  }

  list(name) {
    const { names, list, find } = this.parts[name], typed = find?.value.trim().toLowerCase() ?? "";
    const counts = this.counts?.[name], chosen = (this.chosen[name] ??= new Set());
    const shown = names.filter((value) => value.toLowerCase().includes(typed) || chosen.has(value)).slice(0, LISTED);
    const focused = list.contains(document.activeElement) ? document.activeElement.value : null;
    list.replaceChildren(...shown.map((value) => {
      const box = make("input", { type: "checkbox", value, checked: chosen.has(value) });
      box.addEventListener("change", () => this.choose(name, value, box.checked));
      const count = counts ? counts[names.indexOf(value)] : this.table[name]?.[value];
      return make("label", { className: count === 0 ? "none" : "" }, box, make("span", {}, value || "(no name)"),
        count === undefined ? null : make("span", { className: "dim number" }, written(count, 0)));
    }));
    if (focused !== null) [...list.querySelectorAll("input")].find((box) => box.value === focused)?.focus();
  }

  choose(name, value, on) {
    this.chosen[name][on ? "add" : "delete"](value);
    this.onChange();
  }

  addNumber(name, { title, unit, help, span, ready }) {
    const part = make("fieldset", { title: help }, make("legend", {}, title, unit ? make("span", { className: "dim" }, ` ${unit}`) : null));
    part.dataset.filter = name;
    if (ready) {
      const ends = this.ranges[name] ?? [null, null];
      for (const [place, word] of ["least", "most"].entries()) {
        const input = make("input", { type: "number", step: "any", "aria-label": `${title}: ${word}`, placeholder: span ? written(span[place], 1) : "none" });
        input.addEventListener("input", () => this.soon(() => this.range(name, place, input.value)));
        if (ends[place] !== null) input.value = ends[place];
        part.append(input, place ? "" : " to ");
      }
    } else {
      const button = make("button", { type: "button" }, "Compute");
      button.addEventListener("click", () => this.onCompute(name));
      part.append(button, make("span", { className: "dim number" }));
    }
    this.parts[name] = { part };
    this.host.append(part);
  }

  range(name, place, text) {
    const ends = (this.ranges[name] ??= [null, null]);
    ends[place] = text === "" || !Number.isFinite(Number(text)) ? null : Number(text);
  }

  // Typing goes on: what is wanted is asked for once it pauses.
  soon(change) {
    change();
    clearTimeout(this.timer);
    this.timer = setTimeout(this.onChange, 250);
  }

  // counts: of the last answer; state: tags, and which columns are ready.
  update(counts, state) {
    this.counts = counts;
    Object.assign(this.table, { tags: state.tags ?? this.table.tags });
    this.parts.tags.names = Object.keys(this.table.tags);
    for (const name of Object.keys(this.parts)) if (this.parts[name].list) this.list(name);
    for (const [name, share] of Object.entries(state.shares ?? {})) {
      const said = this.parts[name]?.part?.querySelector("span.number");
      if (said) said.textContent = ` ${Math.round(100 * share)} % done`;
    }
  }
}
