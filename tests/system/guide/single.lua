settings {
logfile = "/var/log/lsyncd/lsyncd.log",
statusFile = "/var/log/lsyncd/lsyncd.status",
statusInterval = 30
}
sync {
default.rsyncssh,
source="/etc/security",
host="eorlov.org",
targetdir="/etc/security",
delay=10,
delete=false,
rsync = {
archive = true,
compress = false,
whole_file = false,
sparse = true,
update = true,
temp_dir="/tmp/",
links = true,
times = true,
protect_args = false,
acls = true,
verbose = true,
_extra = {
"--include=limits.conf",
"--exclude=*"
}
},
ssh = {
port = 22
}
}
