// Keys of the desk: J, K next and previous, O open, P proofs, 1 to 5 the verdicts, E the opinion, A and R a
// decision that a dialog asks to be confirmed, ? help. Nothing happens while somebody types, or with Ctrl, Alt
// and Meta, which belong to the browser.
const CHOICES = {
  1: "performance=pass",
  2: "performance=fail",
  3: "ethics=pass",
  4: "ethics=fail",
  5: "conduct=none",
};
const ORGANISATION_CHOICES = { 1: "competence=pass", 2: "competence=fail", 5: "bad_record_check=none" };
const CONFIRMED = new Set(["a", "r"]);

function isTyping(target) {
  return (
    target.isContentEditable ||
    (target.matches("input, textarea, select") && !target.matches("[type=radio], [type=checkbox]"))
  );
}

function choose(pair) {
  const [name, value] = pair.split("=");
  const choice = document.querySelector(`#decide input[name="${name}"][value="${value}"]`);
  if (!choice) return false;
  choice.checked = true;
  choice.focus();
  return true;
}

async function isConfirmed(button) {
  const dialog = document.getElementById("confirm-key");
  dialog.querySelector("[data-question]").textContent = `${button.textContent.trim()}？`;
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue === "yes";
}

async function press(button, key) {
  if (button.dataset.opens) {
    document.getElementById(button.dataset.opens).showModal();
    return;
  }
  if (!CONFIRMED.has(key)) {
    button.form.requestSubmit(button);
    return;
  }
  if (!(await isConfirmed(button))) return;
  delete button.dataset.confirm;
  button.form.requestSubmit(button);
}

function act(key, viewer) {
  const choices = document.querySelector("#decide [name=performance]") ? CHOICES : ORGANISATION_CHOICES;
  if (choices[key]) return choose(choices[key]);
  if (key === "p") {
    viewer?.stage.focus();
    return viewer !== null;
  }
  const field = document.querySelector("#decide [name=text]");
  if (key === "e" && field) {
    field.focus();
    return true;
  }
  const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (button) press(button, key);
  return Boolean(button);
}

export function startKeys(viewer) {
  document.querySelector("[data-opens]")?.addEventListener("click", (event) => press(event.target, "?"));
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const isAtViewer = viewer !== null && event.target === viewer.stage;
    if ((isAtViewer && viewer.handleKey(key)) || act(key, viewer)) event.preventDefault();
  });
}
