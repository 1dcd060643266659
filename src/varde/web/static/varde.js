// What makes the pages handier with JavaScript. Everything works without it.
(function () {
  "use strict";
  document.documentElement.classList.add("js");

  function ready(root) {
    root.querySelectorAll("[data-autofocus]").forEach(function (element) { element.focus(); });

    // "Select all" over a list of check boxes; the number chosen is told as it changes.
    root.querySelectorAll("[data-select-all]").forEach(function (all) {
      var form = all.form;
      var boxes = function () {
        return Array.prototype.slice.call(form.querySelectorAll('input[type="checkbox"][name="' + all.dataset.selectAll + '"]'));
      };
      var count = form.querySelector("[data-selected-count]");
      var tell = function () {
        var chosen = boxes().filter(function (box) { return box.checked; }).length;
        all.checked = chosen > 0 && chosen === boxes().length;
        all.indeterminate = chosen > 0 && chosen < boxes().length;
        if (count) { count.textContent = String(chosen); }
      };
      all.hidden = false;
      all.addEventListener("change", function () {
        boxes().forEach(function (box) { box.checked = all.checked; });
        tell();
      });
      form.addEventListener("change", tell);
      tell();
    });

    // A form that only passes something on sends itself; the button is for those without JavaScript.
    root.querySelectorAll("form[data-send-now]").forEach(function (form) { form.requestSubmit(); });

    // Filters take effect when changed; the button is for those without JavaScript.
    root.querySelectorAll("form[data-submit-on-change]").forEach(function (form) {
      form.addEventListener("change", function () { form.requestSubmit(); });
    });
  }

  // A form is sent once, however often the button is pressed.
  document.addEventListener("submit", function (event) {
    var form = event.target;
    if (form.dataset.sent) { event.preventDefault(); return; }
    if (form.method === "post") {
      form.dataset.sent = "yes";
      form.querySelectorAll('button[type="submit"]').forEach(function (button) { button.setAttribute("aria-busy", "true"); });
    }
  });
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) {
      document.querySelectorAll("form[data-sent]").forEach(function (form) { delete form.dataset.sent; });
      document.querySelectorAll("[aria-busy]").forEach(function (button) { button.removeAttribute("aria-busy"); });
    }
  });

  // Menus close with Escape and when one leaves them.
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") { return; }
    document.querySelectorAll("header details[open]").forEach(function (menu) {
      menu.open = false;
      if (menu.contains(document.activeElement)) { menu.querySelector("summary").focus(); }
    });
  });
  document.addEventListener("click", function (event) {
    document.querySelectorAll("header details[open]").forEach(function (menu) {
      if (!menu.contains(event.target)) { menu.open = false; }
    });
  });
  document.addEventListener("click", function (event) {
    if (event.target.closest("[data-print]")) { window.print(); }
  });

  document.addEventListener("htmx:load", function (event) { if (event.target !== document.body) { ready(event.target); } });
  ready(document);
})();
