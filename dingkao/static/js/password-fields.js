// Passwords on a phone: each can be looked at, and a refusal (a wrong code from the SMS) leaves in the
// fields what was typed, because a page
// that comes back from the server has no passwords in it.
for (const field of document.querySelectorAll('input[type="password"]')) {
  const eye = document.createElement("button");
  eye.type = "button";
  eye.className = "link-button password-toggle";
  eye.textContent = "显示";
  eye.setAttribute("aria-pressed", "false");
  eye.setAttribute("aria-controls", field.id);
  eye.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    eye.textContent = shown ? "隐藏" : "显示";
    eye.setAttribute("aria-pressed", String(shown));
  });
  field.after(eye);
  field.parentElement.classList.add("password-field");
}

// What a refusing page says of each field, and above the form, is put onto this one.
function showError(form, page) {
  document.getElementById("summary")?.remove();
  const summary = page.getElementById("summary");
  if (summary) form.before(document.importNode(summary, true));
  for (const cell of form.querySelectorAll(".form-field")) {
    const id = cell.querySelector("input, select, textarea")?.id;
    const theirs = id && page.getElementById(id)?.closest(".form-field");
    if (!theirs) continue;
    cell.classList.toggle("form-field--invalid", theirs.classList.contains("form-field--invalid"));
    document.getElementById(`${id}-said`)?.remove();
    const said = page.getElementById(`${id}-said`);
    if (said) cell.querySelector(".form-field__body").append(document.importNode(said, true));
    document.getElementById(id).toggleAttribute("aria-invalid", Boolean(said));
  }
  const token = page.querySelector('[name="csrf_token"]');
  if (token) form.elements.csrf_token.value = token.value;
  document.getElementById("summary")?.focus();
}

async function submitForm(form) {
  const address = form.getAttribute("action") || window.location.href;
  const answer = await fetch(address, {
    method: "POST",
    body: new FormData(form),
    credentials: "same-origin",
    headers: { "X-Keeping": "1" },
  });
  if ((answer.headers.get("Content-Type") ?? "").startsWith("application/json")) {
    window.location.assign((await answer.json()).leads);
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!page.querySelector('input[type="password"]')) throw new Error("another page");
  showError(form, page);
  delete form.dataset.sent;
}

for (const form of document.querySelectorAll("form")) {
  if (!form.querySelector(".password-field") || !form.elements.sms_code) continue;
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.submitter?.name === "send") return;
    event.preventDefault();
    submitForm(form).catch(() => form.submit());
  });
}
