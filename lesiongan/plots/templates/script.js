// Without this script the last epoch is shown and folded tables stay folded in print.
(function () {
  var box = document.querySelector(".epochs");
  if (box) {
    var figures = box.querySelectorAll(".epoch");
    var input = box.querySelector("input");
    var output = box.querySelector("output");
    var show = function () {
      figures.forEach(function (figure, i) { figure.hidden = i !== Number(input.value); });
      output.value = figures[input.value].dataset.epoch;
      input.setAttribute("aria-valuetext", "epoch " + output.value);
    };
    input.value = figures.length - 1;
    input.addEventListener("input", show);
    box.querySelector(".control").hidden = figures.length < 2;
    show();
  }
  var folded = [];
  addEventListener("beforeprint", function () {
    folded = [].slice.call(document.querySelectorAll("details:not([open])"));
    folded.forEach(function (details) { details.open = true; });
  });
  addEventListener("afterprint", function () {
    folded.forEach(function (details) { details.open = false; });
  });
})();
