document.querySelectorAll("table.sortable").forEach(function(table){
  var body=table.tBodies[0];
  if(body.rows.length<2)return;
  table.querySelectorAll("thead th").forEach(function(head,column){
    var button=document.createElement("button");
    button.type="button";
    while(head.firstChild)button.appendChild(head.firstChild);
    head.appendChild(button);
    button.addEventListener("click",function(){
      var up=head.getAttribute("aria-sort")==="descending";
      table.querySelectorAll("thead th").forEach(function(other){
        other.removeAttribute("aria-sort")});
      head.setAttribute("aria-sort",up?"ascending":"descending");
      var rows=Array.prototype.slice.call(body.rows);
      rows.sort(function(a,b){
        var x=a.cells[column],y=b.cells[column],order;
        if(x.dataset.value!==undefined&&y.dataset.value!==undefined)
          order=Number(x.dataset.value)-Number(y.dataset.value);
        else order=x.textContent.localeCompare(y.textContent);
        return up?order:-order});
      rows.forEach(function(row){body.appendChild(row)});
    });
  });
});
addEventListener("beforeprint",function(){
  document.querySelectorAll("details").forEach(function(one){one.open=true});
});
