// Making elements, and what the page says: refusals in red, what else there is to know in quiet.
import { show } from "/saying.js";

export const $ = (id) => document.getElementById(id);

// make("p", { className: "dim" }, "text", child): an element with properties, aria-* and data-* attributes, children.
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const toast = (words) => show("toast", words, 8000);

export const notice = (words, ms = 5000) => show("notice", words, ms);

// Run something that asks the server; what it refuses is said.
export async function tried(work) {
  try {
    return await work();
  } catch (error) {
    toast(error.message);
    return null;
  }
}

export function written(value, digits) {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" ? value.toLocaleString("en", { maximumFractionDigits: digits }) : String(value);
}
