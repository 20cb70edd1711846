// What source.js does, over the data in the page itself: for a page without a server. It looks; it changes nothing.
const { table, rows, hands, pictures } = JSON.parse(document.getElementById("offline").textContent);

export const canEdit = false;

export const getTable = async () => structuredClone(table);

export const getState = async () => ({ tags: table.tags, ready: table.ready, shares: {}, troubles: {} });

export const getHand = async (number) => structuredClone(hands[number]);

export async function getPicture(kind, number) {
  return pictures[number][kind] ?? pictures[number].canvas;
}

const refuse = async () => {
  throw new Error("This page stands alone. Run handdata browse to do that.");
};

export const compute = refuse;
export const check = refuse;
export const getFindings = refuse;
export const postTag = refuse;
export const postNote = refuse;
export const postMend = refuse;
export const postSubset = refuse;
export const getShipped = refuse;
export const saveIds = refuse;

export async function getRows({ where, sort, descending, offset, count }) {
  const tests = Object.entries(where).map(([name, wanted]) => [name, (row) => fits(row, name, wanted)]);
  const found = rows.filter((row) => tests.every(([, test]) => test(row)));
  if (sort) found.sort((a, b) => compare(a[sort], b[sort], descending));
  const counts = {};
  for (const [name, { names }] of Object.entries(table.choices)) {
    const chosen = rows.filter((row) => tests.every(([key, test]) => key === name || test(row)));
    counts[name] = names.map((value) => chosen.filter((row) => row[name] === value).length);
  }
  return { found: found.length, offset, rows: structuredClone(found.slice(offset, offset + count)), counts };
}

function fits(row, name, wanted) {
  if (name === "id") return row.id.includes(wanted);
  if (name === "rows") return wanted.includes(row.number);
  if (name === "tags") return row.tags.some((tag) => wanted.includes(tag));
  if (name === "flags") return row.flags.length ? row.flags.some((flag) => wanted.includes(flag)) : wanted.includes("none");
  if (!(name in table.numbers)) return wanted.includes(row[name]);
  const [least, most] = wanted, value = row[name];
  return value !== null && value !== undefined && (least === null || value >= least) && (most === null || value <= most);
}

// What is not known comes last, whichever way round.
function compare(a, b, descending) {
  const lacks = (value) => value === null || value === undefined;
  if (lacks(a) || lacks(b)) return lacks(a) - lacks(b);
  return (a < b ? -1 : a > b ? 1 : 0) * (descending ? -1 : 1);
}
