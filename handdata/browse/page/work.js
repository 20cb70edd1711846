// What a person does with the hands found: tags on one or all of them, a subset, a list of ids.
import { $, make, notice, toast, tried, written } from "/dom.js";
import { postMend, postSubset, postTag, saveIds } from "/source.js";

export class Work {
  // now(): { query, found, row }: what is found and the hand in focus; onChange(state): tags changed.
  constructor(table, now, onChange) {
    Object.assign(this, { table, now, onChange });
    $("subset-name").value = `${table.name.replaceAll(/[^\w.-]+/g, "-")}-chosen`;
    $("tag-form").addEventListener("submit", (event) => (event.preventDefault(), this.toggle()));
    $("tag-all").addEventListener("click", () => this.all(true));
    $("untag-all").addEventListener("click", () => this.all(false));
    $("subset-form").addEventListener("submit", (event) => (event.preventDefault(), this.subset()));
    $("ids").addEventListener("click", () => tried(() => saveIds(this.now().query, `${table.name.replaceAll(/[^\w.-]+/g, "-")}-ids.txt`)));
    $("mend").addEventListener("click", () => this.mend());
    this.fill(table.tags);
  }

  // Send hands to the annotator, those found if none are listed, and show what opens them there.
  async mend(rows) {
    const sent = await tried(() => postMend(rows ? { rows } : { query: this.now().query }));
    if (!sent) return;
    $("sent-list").replaceChildren(...sent.map(({ hands, file, command }) => {
      const copy = make("button", { type: "button" }, "Copy");
      copy.addEventListener("click", () => navigator.clipboard.writeText(command).then(() => (copy.textContent = "Copied"), () => toast("This browser copies nothing: mark the command and copy it.")));
      return make("li", {}, make("span", {}, `${written(hands, 0)} ${hands === 1 ? "hand" : "hands"}, their ids in ${file}`), make("code", { tabIndex: 0 }, command), copy);
    }));
    if (!$("sent").open) $("sent").showModal();
  }

  fill(tags) {
    $("tag-list").replaceChildren(...Object.keys(tags).map((tag) => make("option", { value: tag })));
  }

  get tag() {
    return $("tag-name").value.trim();
  }

  // Put the written tag on the hand in focus, or take it off where it is.
  async toggle() {
    const { row } = this.now();
    if (!row) return;
    if (!this.tag) return void $("tag-name").focus();
    const on = !row.tags.includes(this.tag);
    await this.post({ tag: this.tag, on, rows: [row.number] }, () => `${row.id}: ${on ? "" : "no longer "}${this.tag}`);
  }

  async all(on) {
    const { query, found } = this.now();
    if (!this.tag) return void $("tag-name").focus();
    if (found > 1000 && !confirm(`${on ? "Tag" : "Untag"} ${written(found, 0)} hands?`)) return;
    await this.post({ tag: this.tag, on, query }, ({ changed }) => `${written(changed, 0)} hands: ${on ? "" : "no longer "}${this.tag}`);
  }

  async post(edit, words) {
    const answer = await tried(() => postTag(edit));
    if (!answer) return;
    notice(`${words(answer)}. Saved.`);
    this.fill(answer.tags);
    this.onChange(answer);
  }

  async subset() {
    const { query, found } = this.now();
    notice(`Writing ${written(found, 0)} hands …`, 600_000);
    const answer = await tried(() => postSubset($("subset-name").value.trim(), query));
    notice(answer ? `${written(answer.hands, 0)} hands -> ${answer.folder}` : "", 15_000);
  }
}
