/*
 * deaf COMMAND…: runs a launcher with a socket as its standard input and output, of which only READY is read. What the
 * launcher writes then fails, but poll(2) does not say so before. Passes its own standard input on. Exits with the
 * launcher's status, or with 128 and the signal that has ended it.
 */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bytes of the frame. */
#define READY 24

int main(int argc, char **argv)
{
	int ends[2];
	if (argc < 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[1], 0);
		dup2(ends[1], 1);
		close(ends[0]);
		close(ends[1]);
		execv(argv[1], argv + 1);
		_exit(1);
	}
	close(ends[1]);
	char bytes[65536];
	if (read(ends[0], bytes, READY) != READY)
		return 1;
	shutdown(ends[0], SHUT_RD);
	for (ssize_t length; (length = read(0, bytes, sizeof bytes)) > 0;)
		if (write(ends[0], bytes, (size_t)length) != length)
			break;
	int status = 0;
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
