// A page that only leads on presses its own button; the button stays for where scripts don't run.
const form = document.querySelector("form[data-auto-submit]");
if (form) form.requestSubmit ? form.requestSubmit() : form.submit();
