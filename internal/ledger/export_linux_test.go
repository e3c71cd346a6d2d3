package ledger

var NetworkName = networkName
