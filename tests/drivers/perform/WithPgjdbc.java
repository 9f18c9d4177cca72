// Performs the script with pgjdbc: JSON on standard input, a line of JSON for each operation on standard output.

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.sql.Types;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyOut;
import org.postgresql.core.BaseConnection;
import org.postgresql.util.PSQLException;
import org.postgresql.util.PSQLWarning;
import org.postgresql.util.ServerErrorMessage;

public class WithPgjdbc {
    static final int PIECE_BYTES = 1000;
    static final int MILLISECONDS_MAX = 20_000;
    static final Gson GSON = new GsonBuilder().disableHtmlEscaping().serializeNulls().create();

    /** One connection, and the thread that works on it. */
    static class Session {
        final Connection connection;
        final PGConnection own;
        final ExecutorService thread = Executors.newSingleThreadExecutor(work -> {
            Thread made = new Thread(work);
            made.setDaemon(true);
            return made;
        });
        final Map<String, PreparedStatement> kept = new LinkedHashMap<>();
        Future<Map<String, Object>> running;
        volatile Statement statement;

        Session(JsonObject door, JsonObject options) throws SQLException {
            Properties words = new Properties();
            words.put("user", door.get("user").getAsString());
            words.put("password", door.get("password").getAsString());
            words.put("sslmode", "verify-full");
            words.put("sslrootcert", door.get("ca").getAsString());
            words.put("ApplicationName", "matrix");
            for (String name : options.keySet()) words.put(name, options.get(name).getAsString());
            String place = door.get("host").getAsString() + ":" + door.get("port").getAsInt();
            connection = DriverManager.getConnection(
                "jdbc:postgresql://" + place + "/" + door.get("database").getAsString(), words);
            own = connection.unwrap(PGConnection.class);
        }

        void start(JsonObject op) {
            running = thread.submit(() -> outcome(op));
        }

        void close() throws SQLException {
            thread.shutdown();
            connection.close();
        }

        Map<String, Object> outcome(JsonObject op) throws Exception {
            Map<String, Object> out = new LinkedHashMap<>();
            List<Object> notices = new ArrayList<>();
            try {
                perform(op, out, notices);
            } catch (SQLException why) {
                List<Object> chain = new ArrayList<>();
                for (SQLException each = why; each != null; each = each.getNextException()) chain.add(complaint(each));
                out.put("errors", chain);
            } catch (IllegalArgumentException why) {
                out.put("unreadable", why.getMessage()); // infinite numbers in binary, for one
            }
            if (!connection.isClosed()) {
                heed(connection.getWarnings(), notices);
                connection.clearWarnings();
                out.put("state", connection.unwrap(BaseConnection.class).getTransactionState());
            }
            out.put("notices", notices);
            return out;
        }

        void perform(JsonObject op, Map<String, Object> out, List<Object> notices) throws Exception {
            boolean digest = op.has("digest") && op.get("digest").getAsBoolean();
            String sql = op.has("sql") ? op.get("sql").getAsString() : "";
            switch (op.get("do").getAsString()) {
                case "run", "listen" -> {
                    try (Statement made = connection.createStatement()) {
                        statement = made;
                        try {
                            results(made, made.execute(sql), digest, out);
                        } finally {
                            heed(made.getWarnings(), notices);
                        }
                    }
                }
                case "ask" -> {
                    boolean keep = op.has("keep") && !op.get("keep").getAsString().isEmpty();
                    PreparedStatement made = keep ? kept.get(sql) : null;
                    if (made == null) made = connection.prepareStatement(marked(sql, op.getAsJsonArray("with")));
                    if (keep) kept.put(sql, made);
                    statement = made;
                    try {
                        bind(made, op.getAsJsonArray("with"));
                        results(made, made.execute(), digest, out);
                    } finally {
                        heed(made.getWarnings(), notices);
                        made.clearWarnings();
                        if (!keep) made.close();
                    }
                }
                case "many" -> many(op, sql, out);
                case "cursor" -> {
                    try (PreparedStatement made = connection.prepareStatement(sql)) {
                        made.setFetchSize(op.get("by").getAsInt());
                        results(made, made.execute(), digest, op.get("take").getAsInt(), out);
                    }
                }
                case "copy_in" -> copyIn(op, sql, out);
                case "copy_out" -> copyOut(sql, out);
                case "begin" -> begin(op);
                case "commit", "rollback" -> {
                    if (op.get("do").getAsString().equals("commit")) connection.commit();
                    else connection.rollback();
                    connection.setReadOnly(false);
                    connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
                    connection.setAutoCommit(true);
                }
                case "hear" -> {
                    List<String> heard = new ArrayList<>();
                    while (heard.size() < op.get("count").getAsInt()) {
                        PGNotification[] notes = own.getNotifications(MILLISECONDS_MAX);
                        if (notes == null) break;
                        for (PGNotification note : notes) heard.add(note.getName() + ": " + note.getParameter());
                    }
                    heard.sort(null);
                    out.put("heard", heard);
                }
                case "status" -> {
                    Map<String, String> reported = new LinkedHashMap<>();
                    for (JsonElement name : op.getAsJsonArray("names"))
                        reported.put(name.getAsString(), own.getParameterStatus(name.getAsString()));
                    out.put("reported", reported);
                }
                default -> throw new IllegalStateException(op.toString());
            }
        }

        void many(JsonObject op, String sql, Map<String, Object> out) throws Exception {
            JsonArray rows = op.getAsJsonArray("rows");
            boolean keys = op.get("keys").getAsBoolean();
            String own = marked(sql, rows.get(0).getAsJsonArray());
            try (PreparedStatement made = keys
                    ? connection.prepareStatement(own, Statement.RETURN_GENERATED_KEYS)
                    : connection.prepareStatement(own)) {
                for (JsonElement row : rows) {
                    bind(made, row.getAsJsonArray());
                    made.addBatch();
                }
                out.put("counts", Arrays.toString(made.executeBatch()));
                if (keys) out.put("keys", cells(made.getGeneratedKeys(), false, 0));
            } catch (BatchUpdateException why) {
                out.put("counts", Arrays.toString(why.getUpdateCounts()));
                throw why;
            }
        }

        void begin(JsonObject op) throws SQLException {
            String isolation = op.get("isolation").getAsString();
            if (!isolation.isEmpty())
                connection.setTransactionIsolation(switch (isolation) {
                    case "SERIALIZABLE" -> Connection.TRANSACTION_SERIALIZABLE;
                    case "REPEATABLE READ" -> Connection.TRANSACTION_REPEATABLE_READ;
                    default -> Connection.TRANSACTION_READ_COMMITTED;
                });
            connection.setReadOnly(op.get("read_only").getAsBoolean());
            connection.setAutoCommit(false);
            if (op.get("deferrable").getAsBoolean())
                try (Statement made = connection.createStatement()) {
                    made.execute("SET TRANSACTION DEFERRABLE");
                }
        }

        void copyIn(JsonObject op, String sql, Map<String, Object> out) throws SQLException {
            byte[] data = Base64.getDecoder().decode(op.get("data").getAsString());
            CopyIn copy = own.getCopyAPI().copyIn(sql);
            try {
                for (int start = 0; start < data.length; start += PIECE_BYTES)
                    copy.writeToCopy(data, start, Math.min(PIECE_BYTES, data.length - start));
                if (op.get("abandon").getAsBoolean()) copy.cancelCopy();
                else out.put("count", copy.endCopy());
            } finally {
                if (copy.isActive()) copy.cancelCopy();
            }
        }

        void copyOut(String sql, Map<String, Object> out) throws Exception {
            MessageDigest hash = MessageDigest.getInstance("MD5");
            StringBuilder starts = new StringBuilder();
            long bytes = 0;
            CopyOut copy = own.getCopyAPI().copyOut(sql);
            try {
                for (byte[] block; (block = copy.readFromCopy()) != null; bytes += block.length) {
                    hash.update(block);
                    if (bytes < 200) starts.append(new String(block, StandardCharsets.ISO_8859_1));
                }
                out.put("count", copy.getHandledRowCount());
            } finally {
                out.put("bytes", bytes);
                out.put("hash", HexFormat.of().formatHex(hash.digest()));
                out.put("starts", starts.toString());
            }
        }

        void bind(PreparedStatement made, JsonArray values) throws SQLException {
            for (int index = 0; index < values.size(); index++) {
                String kind = values.get(index).getAsJsonArray().get(0).getAsString();
                JsonElement value = values.get(index).getAsJsonArray().get(1);
                int place = index + 1;
                if (value.isJsonNull()) {
                    made.setNull(place, Types.NULL);
                    continue;
                }
                switch (kind) {
                    case "int" -> {
                        if (value.getAsLong() == (int) value.getAsLong()) made.setInt(place, value.getAsInt());
                        else made.setLong(place, value.getAsLong());
                    }
                    case "float" -> made.setDouble(place, value.getAsDouble());
                    case "bool" -> made.setBoolean(place, value.getAsBoolean());
                    case "numeric" -> made.setBigDecimal(place, new BigDecimal(value.getAsString()));
                    case "bytes" -> made.setBytes(place, HexFormat.of().parseHex(value.getAsString()));
                    case "uuid" -> made.setObject(place, UUID.fromString(value.getAsString()));
                    case "date" -> made.setObject(place, LocalDate.parse(value.getAsString()));
                    case "timestamptz" -> made.setObject(place, OffsetDateTime.parse(value.getAsString()));
                    case "int[]", "text[]" -> {
                        List<Object> each = new ArrayList<>();
                        for (JsonElement one : value.getAsJsonArray())
                            each.add(one.isJsonNull() ? null : kind.equals("int[]") ? (Object) one.getAsInt() : one.getAsString());
                        made.setArray(place, connection.createArrayOf(kind.equals("int[]") ? "int4" : "text", each.toArray()));
                    }
                    default -> made.setString(place, value.getAsString());
                }
            }
        }
    }

    /** JDBC's own marks in the place of $1, $2, ... */
    static String marked(String sql, JsonArray values) {
        return values.isEmpty() ? sql : sql.replaceAll("\\$\\d+", "?");
    }

    static void results(Statement made, boolean rows, boolean digest, Map<String, Object> out) throws Exception {
        results(made, rows, digest, 0, out);
    }

    static void results(Statement made, boolean rows, boolean digest, int take, Map<String, Object> out) throws Exception {
        List<Object> all = new ArrayList<>();
        out.put("results", all);
        for (;; rows = made.getMoreResults()) {
            if (rows) {
                try (ResultSet result = made.getResultSet()) {
                    all.add(cells(result, digest, take));
                }
            } else {
                if (made.getUpdateCount() == -1) return;
                all.add(Map.of("count", made.getUpdateCount()));
            }
        }
    }

    static Object cells(ResultSet result, boolean digest, int take) throws Exception {
        ResultSetMetaData about = result.getMetaData();
        List<Object> columns = new ArrayList<>();
        for (int i = 1; i <= about.getColumnCount(); i++)
            columns.add(List.of(about.getColumnLabel(i), about.getColumnTypeName(i), about.getPrecision(i), about.getScale(i)));
        List<List<String>> rows = new ArrayList<>();
        MessageDigest hash = MessageDigest.getInstance("MD5");
        int count = 0;
        while ((take == 0 || count < take) && result.next()) {
            count++;
            List<String> row = new ArrayList<>();
            for (int i = 1; i <= about.getColumnCount(); i++) row.add(text(result, i, about.getColumnTypeName(i)));
            if (digest) hash.update(row.toString().getBytes(StandardCharsets.UTF_8));
            else rows.add(row);
        }
        return digest
            ? Map.of("columns", columns, "rows", count, "hash", HexFormat.of().formatHex(hash.digest()))
            : Map.of("columns", columns, "rows", rows);
    }

    /** As pgjdbc has it; of a bytea in binary it has no text. */
    static String text(ResultSet result, int index, String type) throws SQLException {
        if (!type.equals("bytea")) return result.getString(index);
        byte[] bytes = result.getBytes(index);
        return bytes == null ? null : HexFormat.of().formatHex(bytes);
    }

    static void heed(SQLWarning warning, List<Object> notices) {
        for (; warning != null; warning = warning.getNextWarning())
            notices.add(warning instanceof PSQLWarning ? fields(((PSQLWarning) warning).getServerErrorMessage()) : warning.getMessage());
    }

    static Object complaint(SQLException why) {
        Map<String, Object> said = new LinkedHashMap<>();
        said.put("class", why.getClass().getSimpleName());
        said.put("message", why.getMessage());
        said.put("state", why.getSQLState());
        if (why instanceof PSQLException && ((PSQLException) why).getServerErrorMessage() != null)
            said.put("fields", fields(((PSQLException) why).getServerErrorMessage()));
        return said;
    }

    static Object fields(ServerErrorMessage said) {
        return Arrays.asList(said.getSeverity(), said.getSQLState(), said.getMessage(), said.getDetail(), said.getHint(),
            said.getPosition(), said.getInternalPosition(), said.getInternalQuery(), said.getWhere(), said.getSchema(),
            said.getTable(), said.getColumn(), said.getDatatype(), said.getConstraint(), said.getFile(), said.getLine(),
            said.getRoutine());
    }

    static void perform(JsonObject run, JsonObject options, PrintStream lines) throws Exception {
        Map<String, Session> sessions = new LinkedHashMap<>();
        for (JsonElement each : run.getAsJsonArray("steps")) {
            JsonObject step = each.getAsJsonObject();
            int number = 0;
            for (JsonElement operation : step.getAsJsonArray("ops")) {
                JsonObject op = operation.getAsJsonObject();
                String name = op.has("on") ? op.get("on").getAsString() : "a";
                if (!sessions.containsKey(name)) sessions.put(name, new Session(run.getAsJsonObject("door"), options));
                Session on = sessions.get(name);
                Map<String, Object> line = new LinkedHashMap<>();
                line.put("run", run.get("name").getAsString());
                line.put("step", step.get("name").getAsString());
                line.put("op", number++);
                String verb = op.get("do").getAsString();
                if (verb.equals("cancel")) {
                    on.statement.cancel();
                } else {
                    if (!verb.equals("join")) on.start(op);
                    if (!op.has("wait") || op.get("wait").getAsBoolean()) line.putAll(on.running.get());
                }
                lines.println(GSON.toJson(line));
            }
            if (step.get("fresh").getAsBoolean()) close(sessions);
        }
        close(sessions);
    }

    static void close(Map<String, Session> sessions) throws SQLException {
        for (Session session : sessions.values()) session.close();
        sessions.clear();
    }

    public static void main(String[] arguments) throws Exception {
        JsonObject task = JsonParser.parseReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)).getAsJsonObject();
        PrintStream lines = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (JsonElement run : task.getAsJsonArray("runs"))
            perform(run.getAsJsonObject(), task.getAsJsonObject("options"), lines);
    }
}
