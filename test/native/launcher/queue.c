/* queue NAME: makes a POSIX message queue (mq_open(3)), and leaves it. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	if (argc == 2 && mq_open(argv[1], O_CREAT | O_EXCL | O_RDWR, 0600, NULL) >= 0)
		return 0;
	perror("queue");
	return 1;
}
