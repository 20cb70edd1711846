// The findings of `verify`, in a window; each opens the hands that it was found in.
import { $, make, tried } from "/dom.js";
import { check, getFindings } from "/source.js";

const BUSY_MS = 500;

// onOpen(finding): show its hands in the grid; onMend(finding): send them to the annotator.
export async function openFindings(onOpen, onMend) {
  if (!$("findings").open) $("findings").showModal();
  const answer = await tried(check);
  if (answer) list(answer, onOpen, onMend);
}

function list({ state, trouble, findings, checks }, onOpen, onMend) {
  const of = {}; // what was not checked -> in which datasets
  for (const { dataset, check: name, said } of checks) (of[`${name} (${said.replace("not checked: ", "")})`] ??= new Set()).add(dataset);
  const left = checks.length ? ` Not checked: ${Object.entries(of).map(([what, names]) => `${what} of ${[...names].join(" and ")}`).join(", ")}.` : "";
  const count = findings.length === 1 ? "1 finding." : `${findings.length} findings.`;
  $("findings-state").textContent = trouble || (state === "done" ? count + left : `Looking … ${findings.length} found so far.`);
  $("findings").dataset.state = state;
  const buttons = () => [...$("findings-list").querySelectorAll("button:enabled")], was = buttons(), at = was.indexOf(document.activeElement);
  $("findings-list").replaceChildren(...findings.map((finding) => {
    const words = finding.what.startsWith(finding.check) ? finding.what : `${finding.check}: ${finding.what}`, total = finding.total ? `${finding.count} of ${finding.total}` : "";
    const button = make("button", { disabled: !finding.rows.length }, words);
    button.addEventListener("click", () => ($("findings").close(), onOpen(finding)));
    const mend = make("button", { disabled: !finding.rows.length, "aria-label": `Mend the hands of: ${words}` }, "Mend");
    mend.addEventListener("click", () => ($("findings").close(), onMend(finding)));
    return make("li", {}, button, mend, make("span", { className: "dim" }, [finding.where, total].filter(Boolean).join(", ")));
  }));
  if (at >= 0 || !was.length) buttons()[Math.max(at, 0)]?.focus(); // the focus stays where it was; the first finding has it at first
  if (state === "running" && $("findings").open) {
    setTimeout(async () => {
      const answer = await tried(getFindings);
      if (answer) list(answer, onOpen, onMend);
    }, BUSY_MS);
  }
}
