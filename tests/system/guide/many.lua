settings {
logfile = "/var/log/lsyncd/lsyncd.log",
statusFile = "/var/log/lsyncd/lsyncd.status",
statusInterval = 30
maxProcesses = 3,
}
targetlist = {
"1.0.0.2:/var/www/html",
"1.0.0.3:/var/www/html"
}
for _, server in ipairs(targetlist) do
sync{ default.rsync,
source="/var/www/html",
rsyncOps="-rltvupgo"
target=server
}
end
