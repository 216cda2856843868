import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.io.IOException;
import java.util.List;

/**
 * Serves MongoDB's protocol from memory on the loopback port given, announced as 5.0 so that
 * today's drivers talk to it. Ends when its standard input closes, and so with the process that
 * started it.
 */
public class Launcher {
  private static final MongoVersion VERSION =
      new MongoVersion() {
        public List<Integer> getVersionArray() {
          return List.of(5, 0, 0);
        }

        public int getWireVersion() {
          return 13;
        }
      };

  public static void main(String[] args) throws IOException {
    MemoryBackend backend = new MemoryBackend();
    backend.version(VERSION);
    new MongoServer(backend).bind("127.0.0.1", Integer.parseInt(args[0]));
    while (System.in.read() != -1) {}
    System.exit(0);
  }
}
