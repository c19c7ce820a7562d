settings {
logfile = "/var/log/lsyncd/lsyncd.log",
statusFile = "/var/log/lsyncd/lsyncd.status",
statusInterval = 30
}
sync {
default.rsyncssh,
source = "/home/e.orlov/source_dir",
host="eorlov.org",
excludeFrom="/etc/lsyncd.exclude",
target = "~/target_dir",
rsync = {
archive = true,
compress = true,
whole_file = false
},
ssh = {
port = 22
}
}
