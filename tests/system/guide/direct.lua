-- User configuration file for lsyncd.
-- Simple example for default rsync, but executing moves through on the target.
settings {
logfile = "/var/log/lsyncd/lsyncd.log",
statusFile = "/var/log/lsyncd/lsyncd.status",
statusInterval = 30
}
sync {
default.direct,
source = "/home/e.orlov/source_dir",
target = "/home/e.orlov/target_dir"
}
