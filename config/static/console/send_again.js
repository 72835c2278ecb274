// What came from another site is sent on from this one, so that this site's cookies come along.
document.querySelector("form[data-send-again]").submit();
