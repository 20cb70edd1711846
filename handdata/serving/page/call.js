// Calls to a page's own server. Every one carries the token that stands behind the # of the address.
const token = location.hash.slice(1);

// who: the program, for what is said when it does not answer; safe: what a person need not fear for.
export const caller = (who, safe) => async (path, options = {}) => {
  const response = await fetch(path, { ...options, headers: { "x-handdata-token": token } }).catch(() => null);
  if (!response) throw new Error(`${who} does not answer. Is it still running? ${safe}`);
  if (!response.ok) {
    const { error } = await response.json().catch(() => ({}));
    throw new Error(error || `${who} answered ${response.status}.`);
  }
  return response;
};
