// The step's form on the page: what a field's controls hold and say, and what is said at it.
export const form = document.getElementById("step");
const conflictNotice = document.querySelector("[data-conflict-notice]");
const saveStatus = document.querySelector("[data-saving]");
export const etags = JSON.parse(form.elements.known.getAttribute("value"));
export const names = Object.keys(etags);

export const controls = (name) => Array.from(form.querySelectorAll(`[name="${name}"]`));
const isCheckable = (one) => one.type === "radio" || one.type === "checkbox";
export const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
export const cell = (name) => form.querySelector(`[data-field="${name}"]`);
export const isIncomplete = (name) => controls(name).some((one) => one.validity && one.validity.badInput);

export function values(name) {
  return controls(name)
    .filter((one) => (isCheckable(one) ? one.checked : one.value !== ""))
    .map((one) => one.value);
}

export function rendered(name) {
  const found = [];
  for (const one of controls(name)) {
    if (isCheckable(one)) {
      if (one.defaultChecked) found.push(one.value);
    } else if (one.tagName === "SELECT") {
      for (const option of one.options) if (option.defaultSelected && option.value) found.push(option.value);
    } else if (one.defaultValue !== "") found.push(one.defaultValue);
  }
  return found;
}

export function setControlValue(name, given) {
  for (const one of controls(name)) {
    if (isCheckable(one)) one.checked = given.includes(one.value);
    else one.value = given.length ? given[0] : "";
  }
}

export function makeElement(tag, properties, ...inside) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...inside);
  return made;
}

export function showStatus(text, late) {
  saveStatus.hidden = false;
  saveStatus.textContent = text;
  saveStatus.classList.toggle("is-waiting", Boolean(late));
}

export function showConflictNotice(text, link) {
  conflictNotice.hidden = !text;
  conflictNotice.textContent = text;
  if (link)
    conflictNotice.append(" ", makeElement("a", { href: form.dataset.loginUrl, textContent: "重新登录" }));
}

export function showFieldError(name, sentence) {
  const place = cell(name);
  let told = document.getElementById(`${name}-said`);
  if (!sentence) {
    if (told) told.remove();
    place.classList.remove("form-field--invalid");
  } else {
    if (!told) {
      told = makeElement("p", { className: "field-error", id: `${name}-said` });
      place.querySelector(".form-field__body").append(told);
    }
    told.textContent = sentence;
    place.classList.add("form-field--invalid");
  }
  for (const one of controls(name)) {
    if (sentence) {
      one.setAttribute("aria-invalid", "true");
    } else {
      one.removeAttribute("aria-invalid");
    }
    const about = ["unit", "hint", "said"]
      .map((what) => `${name}-${what}`)
      .filter((id) => document.getElementById(id));
    if (about.length) one.setAttribute("aria-describedby", about.join(" "));
    else one.removeAttribute("aria-describedby");
  }
}

export function displayValue(name) {
  const found = controls(name).filter((one) => (isCheckable(one) ? one.checked : one.value !== ""));
  const told = found.map((one) => {
    if (one.tagName === "SELECT") return one.selectedOptions[0].textContent;
    return isCheckable(one) ? one.parentElement.textContent.trim() : one.value;
  });
  return told.join("、") || "空";
}

// What an answer makes needless is hidden by the style sheet; the length of a report is told here.
export function onPageShown() {
  for (const told of form.querySelectorAll("[data-min-length]")) {
    const text = told.parentElement.querySelector("textarea").value;
    told.textContent = `现有${Array.from(text.replace(/\s/g, "")).length}字，不少于${told.dataset.minLength}字`;
  }
}
