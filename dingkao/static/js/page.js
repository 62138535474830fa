// What every page has: a question before what can't be undone, one press counts once, the first fault is
// brought into view.
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.confirm ?? form.dataset.confirm;
    if (question && !window.confirm(question)) {
      event.preventDefault();
      return;
    }
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "1";
    window.setTimeout(() => delete form.dataset.sent, 8000);
  });
}
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form")) delete form.dataset.sent;
});
document.getElementById("summary")?.focus();
// What can only be done with scripts is begun by a button that works when they run.
for (const button of document.querySelectorAll("[data-scripted]")) button.disabled = false;
for (const hint of document.querySelectorAll("[data-unscripted]")) hint.remove();
for (const picker of document.querySelectorAll("[data-toggle-all]")) {
  picker.addEventListener("change", () => {
    for (const box of document.querySelectorAll(picker.dataset.toggleAll)) box.checked = picker.checked;
  });
}
// Copying: old web views, and pages without https, have no clipboard to write to and copy what is selected.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const held = document.createElement("textarea");
    held.value = text;
    held.readOnly = true;
    document.body.append(held);
    held.select();
    const done = document.execCommand("copy");
    held.remove();
    return done;
  }
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    button.textContent = (await copyText(button.dataset.copy)) ? "已复制" : "请长按号码复制";
  });
}
// Signing out leaves nothing on the phone of what was typed here (local-drafts.js, filing-autosave.js).
for (const form of document.querySelectorAll('form[action$="/sign-out"]')) {
  form.addEventListener("submit", () => {
    try {
      for (const key of Object.keys(localStorage))
        if (key.startsWith("dk-keep:")) localStorage.removeItem(key);
    } catch (_) {
      // No storage: nothing was kept.
    }
  });
}
