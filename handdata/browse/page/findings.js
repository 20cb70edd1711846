// The findings of `verify`, in a window; each opens the hands that it was found in.
import { $, make, tried } from "/dom.js";
import { check, getFindings } from "/source.js";

const BUSY_MS = 500;

// onOpen(finding): show its hands in the grid.
export async function openFindings(onOpen) {
  if (!$("findings").open) $("findings").showModal();
  const answer = await tried(check);
  if (answer) list(answer, onOpen);
}

function list({ state, trouble, findings, checks }, onOpen) {
  const left = checks.length ? ` Not checked: ${checks.map(({ check: name, said }) => `${name} (${said.replace("not checked: ", "")})`).join(", ")}.` : "";
  const count = findings.length === 1 ? "1 finding." : `${findings.length} findings.`;
  $("findings-state").textContent = trouble || (state === "done" ? count + left : `Looking … ${findings.length} found so far.`);
  $("findings").dataset.state = state;
  $("findings-list").replaceChildren(...findings.map((finding) => {
    const words = finding.what.startsWith(finding.check) ? finding.what : `${finding.check}: ${finding.what}`, total = finding.total ? `${finding.count} of ${finding.total}` : "";
    const button = make("button", { disabled: !finding.rows.length }, words);
    button.addEventListener("click", () => ($("findings").close(), onOpen(finding)));
    return make("li", {}, button, make("span", { className: "dim" }, [finding.where, total].filter(Boolean).join(", ")));
  }));
  if (state === "running" && $("findings").open) {
    setTimeout(async () => {
      const answer = await tried(getFindings);
      if (answer) list(answer, onOpen);
    }, BUSY_MS);
  }
}
