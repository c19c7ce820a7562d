settings {
logfile = "/var/log/lsyncd/lsyncd.log",
statusFile = "/var/log/lsyncd/lsyncd.status",
statusInterval = 30
}
sync {
default.rsync,
source = "/home/e.orlov/source_dir",
target = "eorlov.org:~/target_dir",
delay = 15,
exclude = {'.git/', 'vendor/', 'web/node_modules', 'bundled/'},
rsync = {
archive = true,
compress = true
}
}
