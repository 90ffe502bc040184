#!/bin/sh
# A systemctl for tests of what install.sh asks of it, on machines where no systemd runs. It runs one
# service, without what the unit says: guard, then program, again and again, until that exits with 78.
state=/run/small-systemd
mkdir -p $state
echo "$*" >>$state/calls
while :; do
    case $1 in -*) shift ;; *) break ;; esac
done
verb=$1

stop() {
    [ ! -e $state/pid ] || kill -9 -- "-$(cat $state/pid)" 2>/dev/null
    rm -f $state/pid $state/failed $state/active
}

serve() {
    while :; do
        /opt/edgeapp/guard
        (set -a && . /run/edgeapp-guard/start.env && exec /opt/edgeapp/current/bin/edgeapp run)
        code=$?
        if [ $code = 78 ]; then break; fi
        sleep 0.05
    done
    rm -f $state/active
    touch $state/failed
}

case $verb in
    enable) touch $state/enabled ;;
    is-enabled) [ -e $state/enabled ] ;;
    disable) rm -f $state/enabled && stop ;;
    stop) stop ;;
    is-active) [ -e $state/active ] ;;
    is-failed) [ -e $state/failed ] ;;
    show) echo exit-code ;;
    restart)
        stop
        touch $state/active
        if [ "${SERVE:-}" = "" ]; then SERVE=1 exec setsid -f "$0" serve 9>&- >>$state/journal 2>&1 </dev/null; fi ;;
    serve) echo $$ >$state/pid && serve ;;
esac
