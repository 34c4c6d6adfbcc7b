// The page's elements. Text from the server becomes text, never HTML.

export const all = (selector, from = document) => [...from.querySelectorAll(selector)];
export const one = (selector, from = document) => from.querySelector(selector);

export function made(tag, text, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties);
  element.textContent = text;
  return element;
}

// What is wrong with a field, told beside it; an empty text takes that back.
export function blame(field, place, text) {
  place.textContent = text;
  if (field && text) field.setAttribute("aria-invalid", "true");
  else if (field) field.removeAttribute("aria-invalid");
}
