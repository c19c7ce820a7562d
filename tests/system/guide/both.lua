settings {
logfile = "/var/log/lsyncd/lsyncd.log",
statusFile = "/var/log/lsyncd/lsyncd.status",
statusInterval = 30
}
sync {
default.rsyncssh,
source="/path/to/dir",
host="eorlov.org",
targetdir="/path/to/dir/new_server",
excludeFrom="/etc/lsyncd.exclude",
delay=10,
delete = true,
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
verbose = true
},
ssh = {
port = 22,
_extra = {"/usr/bin/ssh -l user -p 22 -i /home/user/.ssh/id_rsa -o StrictHostKeyChecking=no"}
}
}
